"""The page keeps its refresh token in a cookie that scripts can't read (threats 12, decision 50)."""

from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from app.core.time.clock import utc_now
from app.models.tables import LOGIN_SESSION
from app.services.auth.login_sessions import REUSE_GRACE
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import create_second_factor
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server

FORM = {"username": "ana@example.com", "password": PASSWORD}
OURS = "https://time.example.com"
SECURE = "HttpOnly; SameSite=Strict; Path=/; Secure"


class Browser:
    """A browser with a page of the service: its cookies, and the headers that it and the page send."""

    def __init__(self, server, **headers):
        self.api = server.caller()
        own = {"X-Requested-With": "page", "Origin": server.base_url}
        self.api.headers.update({name: value for name, value in (own | headers).items() if value is not None})

    def log_in(self, **others):
        return self.api.post("/auth/page/login", data=FORM | others)

    def refresh(self, **body):
        return self.api.post("/auth/page/refresh", json=body or None)

    def log_out(self, access_token):
        return self.api.post("/auth/page/logout", headers={"Authorization": f"Bearer {access_token}"})

    def get_me(self, access_token):
        return self.api.get("/auth/me", headers={"Authorization": f"Bearer {access_token}"}).status_code

    @property
    def cookie(self):
        return self.api.cookies.get("refresh")

    @cookie.setter
    def cookie(self, value):
        self.api.cookies.clear()
        self.api.cookies.set("refresh", value, domain="127.0.0.1", path="/")


@pytest.fixture
def open_browser(server):
    """Return a function that opens a browser, or another tab if it gets the same cookie."""
    with ExitStack() as stack:

        def open_browser(**headers):
            browser = Browser(server, **headers)
            stack.enter_context(browser.api)
            return browser

        yield open_browser


@pytest.fixture
def browser(open_browser, ana):
    return open_browser()


def test_a_login_on_the_page_is_on_record_like_any_other(browser, server, ana):
    audit_log = AuditLog(server.database)

    assert browser.log_in().status_code == 200

    (event,) = audit_log.new_events()
    assert (event.action, event.actor_id, event.subject_id) == ("login:accept", ana.id, ana.id)


def let_the_grace_time_pass(server):
    with server.database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(refreshed_at=utc_now() - REUSE_GRACE - timedelta(seconds=1)))


def test_a_login_on_the_page_gives_the_script_an_access_token_and_the_browser_the_refresh_token(browser):
    answer = browser.log_in()

    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert browser.cookie.startswith("ettr_")
    assert browser.cookie not in answer.text
    assert browser.get_me(answer.json()["access_token"]) == 200


def test_on_loopback_without_tls_scripts_and_other_sites_get_no_cookie(browser):
    (cookie,) = browser.log_in().headers.get_list("set-cookie")

    assert cookie == f"refresh={browser.cookie}; Max-Age={14 * 86_400}; HttpOnly; SameSite=Strict; Path=/"


def test_a_refresh_gives_the_next_cookie_and_no_token_to_the_script(browser):
    browser.log_in()
    first = browser.cookie

    answer = browser.refresh()

    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert browser.cookie.startswith("ettr_")
    assert browser.cookie != first
    assert "; HttpOnly; SameSite=Strict; Path=/" in answer.headers["set-cookie"]


def test_two_tabs_that_refresh_at_once_share_the_next_cookie(open_browser, browser):
    browser.log_in()
    other_tab = open_browser()
    other_tab.cookie = browser.cookie

    answers = [browser.refresh(), other_tab.refresh()]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert browser.cookie == other_tab.cookie


def test_a_stolen_cookie_ends_the_session_when_both_have_used_it(server, open_browser, browser, ana):
    browser.log_in()
    thief = open_browser()
    thief.cookie = browser.cookie
    browser.refresh()
    let_the_grace_time_pass(server)
    audit_log = AuditLog(server.database)

    answers = [thief.refresh(), browser.refresh()]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "invalid_refresh_token")] * 2
    (event,) = audit_log.new_events()
    assert (event.action, event.subject_id) == ("session:end_on_reuse", ana.id)


def test_a_refused_refresh_deletes_the_cookie(server, browser):
    browser.log_in()
    with server.database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(expires_at=utc_now()))

    answer = browser.refresh()

    assert answer.status_code == 401
    assert answer.headers["set-cookie"] == "refresh=; Max-Age=0; HttpOnly; SameSite=Strict; Path=/"
    assert browser.cookie is None


@pytest.mark.parametrize("cookie", [None, "", "made-up", "ettr_", "ettr_" + "A" * 80, '"', "a=b", "é".encode().hex()])
def test_without_a_good_cookie_there_is_no_refresh(browser, cookie):
    if cookie is not None:
        browser.cookie = cookie

    answer = browser.refresh()

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


def test_a_login_still_needs_the_password_and_the_second_factor(browser, server, ana):
    app = create_second_factor(server.database, ana)
    audit_log = AuditLog(server.database)

    wrong = browser.log_in(password="wrong-harbour-17-lantern")
    without_code = browser.log_in()
    server.wait_for_background()
    refused = audit_log.new_events()
    accepted = browser.log_in(otp=app.code())

    assert [(answer.status_code, answer.json()["code"]) for answer in (wrong, without_code)] == [
        (401, "invalid_credentials"),
        (401, "otp_required"),
    ]
    assert "set-cookie" not in wrong.headers
    assert "set-cookie" not in without_code.headers
    assert {event.action for event in refused} == {"login:refuse"}
    assert accepted.status_code == 200


def test_after_a_new_password_the_page_hands_its_refresh_token_over_once(browser):
    access_token = browser.log_in().json()["access_token"]
    changed = browser.api.post(
        "/auth/password",
        json={"current_password": PASSWORD, "new_password": "another-lantern-17-harbour"},
        headers={"Authorization": f"Bearer {access_token}"},
    ).json()

    answer = browser.refresh(refresh_token=changed["refresh_token"])

    assert answer.status_code == 200
    assert browser.cookie not in {changed["refresh_token"], None}
    assert browser.refresh().status_code == 200


def test_logging_out_ends_the_session_and_deletes_the_cookie(browser, server, ana):
    access_token = browser.log_in().json()["access_token"]
    copy, audit_log = browser.cookie, AuditLog(server.database)

    answer = browser.log_out(access_token)

    assert answer.status_code == 204
    assert browser.cookie is None
    assert [event.action for event in audit_log.new_events()] == ["session:log_out"]
    browser.cookie = copy
    assert (browser.get_me(access_token), browser.refresh().status_code) == (401, 401)


def test_a_tab_notices_that_another_one_logged_out(open_browser, browser):
    access_token = browser.log_in().json()["access_token"]
    other_tab = open_browser()
    other_tab.cookie = browser.cookie
    others_token = other_tab.refresh().json()["access_token"]

    browser.log_out(access_token)

    assert (other_tab.get_me(others_token), other_tab.refresh().status_code) == (401, 401)


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Requested-With": None},
        {"X-Requested-With": "XMLHttpRequest"},
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:8000"},
    ],
    ids=["no header", "another header", "no origin", "no page", "another site", "no port", "another port", "a name"],
)
def test_other_sites_can_neither_log_in_nor_refresh(open_browser, browser, headers):
    browser.log_in()
    foreign = open_browser(**headers)
    foreign.cookie = before = browser.cookie

    answers = [foreign.log_in(), foreign.refresh()]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "cross_site_request")] * 2
    assert not [answer for answer in answers if "set-cookie" in answer.headers]
    assert foreign.cookie == before
    assert browser.refresh().status_code == 200


def test_the_cookie_opens_nothing_but_the_refresh(browser):
    browser.log_in()

    assert browser.api.get("/auth/me").status_code == 401
    assert browser.api.post("/auth/page/logout").status_code == 401
    assert browser.api.post("/auth/refresh").status_code == 422


# Behind a proxy with TLS


@pytest.fixture
def proxied(db_url):
    """Run a service behind a proxy with TLS on 127.0.0.1. Yield a function that sends a request through it."""
    with run_server(settings_for(db_url, HOST="0.0.0.0", TRUSTED_PROXIES=["127.0.0.1"])) as server:
        Company(server.database).employee("Ana")
        with httpx.Client(base_url=f"{server.base_url}/api/v1/auth/page") as client:

            def post(path, *, origin=OURS, host="time.example.com", scheme="https", cookie=None, **sent):
                headers = {"Host": host, "X-Forwarded-Proto": scheme, "Origin": origin, "X-Requested-With": "page"}
                if cookie:
                    headers["Cookie"] = cookie
                return client.post(path, headers=headers, **sent)

            yield post


def test_behind_a_proxy_with_tls_the_cookie_is_bound_to_the_host_and_to_tls(proxied):
    answer = proxied("/login", data=FORM)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-refresh=ettr_")
    assert cookie.endswith(f"; Max-Age={14 * 86_400}; {SECURE}")
    refreshed = proxied("/refresh", cookie=cookie.partition(";")[0])
    assert refreshed.status_code == 200
    assert refreshed.headers["set-cookie"].startswith("__Host-refresh=ettr_")


def test_the_cookie_of_a_plain_connection_counts_for_nothing_over_tls(proxied):
    """Anyone on the network could set a cookie without the prefix."""
    token = proxied("/login", data=FORM).headers["set-cookie"].partition(";")[0].partition("=")[2]

    assert proxied("/refresh", cookie=f"refresh={token}").status_code == 401


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        (OURS, "time.example.com", 200),
        (f"{OURS}:8443", "time.example.com:8443", 200),
        (OURS.upper(), "Time.example.com", 200),
        (f"{OURS}:8443", "time.example.com", 403),
        ("http://time.example.com", "time.example.com", 403),
        ("https://evil.example.com", "time.example.com", 403),
        ("https://time.example.com.evil.example.com", "time.example.com", 403),
    ],
)
def test_the_origin_is_the_host_that_the_browser_asked_for(proxied, origin, host, status):
    assert proxied("/login", data=FORM, origin=origin, host=host).status_code == status


def test_without_tls_another_machine_gets_a_cookie_that_its_browser_does_not_keep(proxied):
    answer = proxied("/login", data=FORM, origin="http://time.example.com", scheme="http")

    assert answer.headers["set-cookie"].endswith(SECURE)
