"""Logging in and out in a browser (decision 50)."""

import pytest
from sqlalchemy import delete, select, update

from app.core.time.clock import utc_now
from app.models.tables import ENTRY, LOGIN_SESSION, USER
from tests.support.credentials import create_password_link, create_second_factor
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.system
TODAY = utc_now().date()
NEW_PASSWORD = "another-lantern-17-harbour"


def test_a_reload_and_a_second_tab_stay_logged_in(anas_tab, open_tab):
    anas_tab.page.reload()
    anas_tab.button("Clock in").wait_for()

    second = open_tab(context=anas_tab.page.context)

    second.button("Clock in").wait_for()


def test_no_script_can_read_the_refresh_token(anas_tab):
    stored = anas_tab.page.evaluate("[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")

    assert not [text for text in stored if "ett" in text or "eyJ" in text]
    (cookie,) = anas_tab.page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("refresh", True, "Strict")


def test_a_wrong_password_is_said_in_the_users_language(open_tab, ana):
    tab = open_tab(locale="de-DE")
    tab.expected_statuses = {401}

    tab.page.get_by_label("E-Mail-Adresse").fill(ana.email)
    tab.page.get_by_label("Passwort").fill("falsch-falsch-falsch")
    tab.button("Anmelden").click()

    tab.page.get_by_role("alert").get_by_text("E-Mail oder Passwort ist falsch").wait_for()


def test_a_second_factor_is_asked_for_when_it_is_needed(open_tab, server, ana, website):
    phone = create_second_factor(server.database, ana)
    tab = open_tab()
    tab.expected_statuses = {401}
    tab.page.get_by_label("E-mail address").fill(ana.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.button("Log in").click()

    tab.page.get_by_label("Code").fill(phone.code())
    tab.page.keyboard.press("Enter")

    tab.button("Clock in").wait_for()


def test_a_password_that_an_admin_has_set_is_changed_first(open_tab, server, ana, website):
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ana.id).values(must_change_password=True))
    tab = open_tab()
    tab.page.get_by_label("E-mail address").fill(ana.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.button("Log in").click()

    tab.page.get_by_label("Current password").fill(PASSWORD)
    tab.page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    tab.page.get_by_label("New password, once more").fill(NEW_PASSWORD)
    tab.button("Set password").click()

    tab.button("Clock in").wait_for()
    tab.page.reload()
    tab.button("Clock in").wait_for()


def test_a_password_link_opens_the_page_where_the_password_is_set(open_tab, server, ana, website):
    token = create_password_link(server.database, ana)
    tab = open_tab(f"set-password/{token}")

    tab.page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    tab.page.get_by_label("New password, once more").fill(NEW_PASSWORD)
    tab.button("Set password").click()
    tab.page.get_by_role("link", name="Log in").click()
    tab.log_in(ana.email, NEW_PASSWORD)

    tab.button("Clock in").wait_for()


def test_logging_out_in_one_tab_logs_out_in_the_other(anas_tab, open_tab):
    second = open_tab("account", context=anas_tab.page.context)

    second.button("Log out").click()

    second.page.get_by_label("E-mail address").wait_for()
    anas_tab.page.get_by_label("E-mail address").wait_for()
    assert anas_tab.page.context.cookies() == []


def test_a_session_that_was_ended_elsewhere_asks_for_a_login_and_says_why(anas_tab, server):
    anas_tab.expected_statuses = {401}
    with server.database.write_transaction() as session:
        session.execute(delete(LOGIN_SESSION))

    anas_tab.button("Clock in").click()

    anas_tab.page.get_by_text("Your login has ended. Log in again.").wait_for()
    assert anas_tab.page.context.cookies() == []


def test_an_expired_access_token_is_renewed_without_a_word(anas_tab, server):
    anas_tab.expected_statuses = {401}
    anas_tab.page.route("**/time-entries/clock-in", _expire_once, times=1)

    anas_tab.button("Clock in").click()

    anas_tab.button("Clock out").wait_for()


def _expire_once(route):
    headers = route.request.headers | {"authorization": "Bearer expired"}
    route.continue_(headers=headers)


def test_when_another_user_logs_in_in_a_second_tab_the_first_one_follows(anas_tab, open_tab, mia):
    second = open_tab("account", context=anas_tab.page.context)
    second.page.get_by_role("heading", name="Ana Silva").wait_for()
    anas_tab.page.get_by_role("link", name="Account").click()
    anas_tab.button("Log out").click()
    anas_tab.log_in(mia.email, PASSWORD)

    second.page.get_by_role("link", name="Team").wait_for()


def test_a_press_of_ana_is_never_a_punch_of_mia_who_has_logged_in_meanwhile(anas_tab, server, mia):
    """The tab slept and did not hear of the other login, so it learns of it with its next access token."""
    anas_tab.expected_statuses = {401}
    answer = anas_tab.page.context.request.post(
        f"{server.base_url}/api/v1/auth/page/login",
        form={"username": mia.email, "password": PASSWORD},
        headers={"Origin": server.base_url, "X-Requested-With": "page"},
    )
    assert answer.ok
    anas_tab.page.route("**/time-entries/clock-in", _expire_once, times=1)

    anas_tab.button("Clock in").click()

    anas_tab.page.get_by_role("link", name="Team").wait_for()
    anas_tab.page.locator("button.punch").wait_for()
    with server.database.read_transaction() as session:
        assert session.execute(select(ENTRY)).all() == []


@pytest.mark.parametrize("route", ["%", "set-password/%", "constructor", "__proto__", "time/month/2026-99-99"])
def test_an_address_that_names_no_page_leads_to_one(anas_tab, route):
    anas_tab.open("account")
    anas_tab.page.get_by_role("heading", name="Ana Silva").wait_for()

    anas_tab.open(route)

    anas_tab.page.locator(f"h1.day, h1:text('{TODAY:%B %Y}')").wait_for()
