"""Audit events that callers without a login can cause. Nothing can be deleted from the audit log (threats 13)."""

import pytest

from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, send_in_parallel
from tests.support.credentials import create_second_factor
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server

WRONG = "wrong-lantern-42-harbour"
FORMS = [f"username={name}%40example.com&password={WRONG}" for name in ("ana", "nobody")]


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def log_in(anonymous, server):
    """Return a function that logs in and waits for the event: `log_in("ana@example.com", PASSWORD)`."""

    def send(email, password=WRONG, **others):
        answer = anonymous.post("/auth/login", data={"username": email, "password": password} | others)
        server.wait_for_background()
        return answer.json().get("code", "in")

    return send


@pytest.mark.alone  # 300 passwords are hashed at the lowest priority
@pytest.mark.high_volume
def test_wrong_logins_from_300_networks_are_two_events(people, database, db_url, run_command):
    """Each attempt has another /64 network, so it reaches no limit of an address. One half is for Ana."""
    ana, audit_log = people.employee("Ana"), AuditLog(database)

    with run_server(settings_for(db_url, TRUSTED_PROXIES=["127.0.0.0/8"])) as server:
        url = f"{server.base_url}/api/v1/auth/login"
        calls = [
            Call("POST", url, {"X-Forwarded-For": f"2001:db8:0:{number:x}::1"}, form=FORMS[number % 2])
            for number in range(300)
        ]
        answers = send_in_parallel([calls[start::10] for start in range(10)])
        server.wait_for_background()

    codes = [answer.json()["code"] for of_client in answers for answer in of_client]
    events = audit_log.new_events()
    assert codes.count("invalid_credentials") == 200, "a hundred in an hour for each account"
    assert [(event.action, event.subject_id) for event in events] == [("login:refuse", ana.id), ("login:refuse", None)]
    assert run_command("verify-audit").exit_code == 0


def test_an_event_counts_refusals_by_what_was_wrong(ana, people, log_in, as_user, server):
    phone, me, audit_log = create_second_factor(server.database, ana), as_user(ana), AuditLog(server.database)
    log_in("ana@example.com")
    audit_log.new_events()

    codes = [
        log_in("ana@example.com"),
        log_in("ana@example.com", PASSWORD),
        log_in("ana@example.com", PASSWORD, otp="000000"),
        me.request("DELETE", "/auth/totp", json={"password": WRONG, "code": phone.code()}).json()["code"],
        me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": "no-code"}).json()["code"],
    ]

    assert codes == ["invalid_credentials", "otp_required", "invalid_otp", "invalid_password", "invalid_code"]
    assert audit_log.new_events() == []
    (counted,) = me.get("/auth/me/export").json()["refused_logins"]
    assert {name: counted[name] for name in ("wrong_passwords", "missing_codes", "rejected_codes", "over_limit")} == {
        "wrong_passwords": 2, "missing_codes": 1, "rejected_codes": 2, "over_limit": 0,
    }  # fmt: skip


def test_only_the_first_of_many_wrong_present_passwords_is_an_event(ana, as_user, server):
    me, audit_log = as_user(ana), AuditLog(server.database)

    for _ in range(12):
        me.post("/auth/password", json={"current_password": WRONG, "new_password": "another-lantern-17-harbour"})
        server.wait_for_background()

    assert [event.action for event in audit_log.new_events()] == ["login:refuse"]


def test_tokens_and_links_that_were_made_up_are_no_events(ana, anonymous, server):
    audit_log = AuditLog(server.database)

    answers = [
        anonymous.get("/auth/me", headers={"Authorization": "Bearer ett_made-up"}),
        anonymous.post("/auth/refresh", json={"refresh_token": "ettr_made-up"}),
        anonymous.post("/auth/password/set", json={"token": "made-up", "new_password": "another-lantern-17-harbour"}),
    ]
    server.wait_for_background()

    assert {answer.status_code for answer in answers} == {401}
    assert audit_log.new_events() == []


def test_a_spent_refresh_token_is_one_event_however_often_it_is_sent(ana, anonymous, server):
    """The event is that of the login session which the first misuse ends."""
    first = anonymous.post("/auth/login", data={"username": "ana@example.com", "password": PASSWORD}).json()
    token = first["refresh_token"]
    for _ in range(2):
        token = anonymous.post("/auth/refresh", json={"refresh_token": token}).json()["refresh_token"]
    audit_log = AuditLog(server.database)

    answers = [anonymous.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {401}
    assert [event.action for event in audit_log.new_events()] == ["session:end_on_reuse"]
