"""Login, and everything that ends a login session (rules: P2, R1; threats 5, 14)."""

import hashlib

import pytest

from app.core.time.clock import utc_now
from app.models.tables import REFUSED_LOGIN
from app.schemas.auth.password import PasswordSet
from app.schemas.users.user import UserUpdate
from app.services.access.actor import Actor
from app.services.auth import login, passwords
from app.services.auth.errors import LoginRefused
from app.services.auth.login import LoginAttempt
from app.services.users import administration
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import TEST_CLIENT
from tests.support.factories import PASSWORD

ANOTHER_PASSWORD = "another-lantern-17-harbour"


@pytest.mark.parametrize("typed", ["ana@example.com", "ANA@Example.com", " ana@example.com "])
def test_a_login_gives_a_token_that_works(people, anonymous, server, typed):
    ana = people.employee("Ana")

    answer = log_in(anonymous, typed)

    assert answer.status_code == 200
    token = answer.json()
    assert token == token | {"token_type": "bearer", "expires_in": 1800}
    assert token.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    with server.caller(token["access_token"]) as me:
        assert me.get("/auth/me").json()["id"] == ana.id


def test_an_email_with_umlauts_logs_in_in_any_case(people, anonymous):
    people.employee("Änne")

    assert log_in(anonymous, "ÄNNE@example.com").status_code == 200


def test_fields_that_a_login_does_not_know_are_ignored(people, anonymous):
    people.employee("Ana")

    swaggers = {"grant_type": "password", "scope": "", "client_id": "x", "client_secret": "y"}

    assert log_in(anonymous, "ana@example.com", **swaggers).status_code == 200


def test_every_refused_login_looks_the_same(people, anonymous):
    people.employee("Ana")
    people.employee("Dan", is_active=False)

    answers = [
        log_in(anonymous, "ana@example.com", password="wrong-lantern-42-harbour"),
        log_in(anonymous, "nobody@example.com"),
        log_in(anonymous, "dan@example.com"),
        log_in(anonymous, "not an e-mail"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "invalid_credentials")] * 4
    bodies = [{name: value for name, value in answer.json().items() if name != "request_id"} for answer in answers]
    headers = [
        {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}
        for answer in answers
    ]
    assert bodies == bodies[:1] * 4
    assert headers == headers[:1] * 4
    assert headers[0]["www-authenticate"] == "Bearer"


def test_a_refused_login_is_on_record_without_what_was_typed(people, anonymous, server):
    ana, dan = people.employee("Ana"), people.employee("Dan", is_active=False)
    typed = ["My-Secret-Passphrase-77", "nobody@example.com", "NOBODY@example.com"]

    log_in(anonymous, "ana@example.com", password=ANOTHER_PASSWORD)
    log_in(anonymous, "dan@example.com")
    first = log_in(anonymous, typed[0])
    server.wait_for_background()
    for each in typed[1:]:
        log_in(anonymous, each)

    events = recorded_logins(server)
    assert [event.action for event in events] == ["login:refuse"] * 3
    assert [event.subject_id for event in events] == [ana.id, dan.id, None]
    assert {event.actor_id for event in events} == {None}
    assert events[2].request_id == first.json()["request_id"]
    assert [event.after["wrong_passwords"] for event in events] == [1, 1, 1]
    with server.database.read_transaction() as session:
        counted = session.execute(REFUSED_LOGIN.select()).all()
    assert [row.wrong_passwords for row in counted if row.chain_id == 0] == [2], "for the event an hour later"
    recorded = repr((events, counted)).lower()
    guesses = [hashlib.sha256(each.lower().encode()).hexdigest() for each in typed]
    assert not [each for each in [*typed, *guesses, PASSWORD, ANOTHER_PASSWORD] if each.lower() in recorded]


def test_a_login_is_on_record(people, anonymous, server):
    ana = people.employee("Ana")

    answer = log_in(anonymous, "ana@example.com")

    (event,) = recorded_logins(server)
    assert (event.action, event.actor_id, event.subject_id) == ("login:accept", ana.id, ana.id)
    assert event.request_id == answer.headers["X-Request-ID"]


def test_who_is_deactivated_while_their_password_is_checked_gets_no_token(database, people):
    ana, ada = people.employee("Ana"), people.admin("Ada")

    def in_between(session):
        administration.deactivate(session, Actor(ada.id, ada.role, "UTC"), ana.id, at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_whose_password_changes_while_it_is_checked_gets_no_token(database, people):
    ana, ada = people.employee("Ana"), people.admin("Ada")

    def in_between(session):
        actor = Actor(ada.id, ada.role, "UTC", session_id=1)
        data = PasswordSet(password="another-lantern-17-harbour")
        passwords.set_by_admin(session, actor, ana.id, data, password_hash="new", at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_whose_email_goes_to_another_while_it_is_checked_gets_no_token_of_theirs(database, people):
    ana, bob, ada = people.employee("Ana"), people.employee("Bob"), people.admin("Ada")
    actor = Actor(ada.id, ada.role, "UTC", session_id=1)

    def in_between(session):
        administration.change(session, actor, ana.id, UserUpdate(email="former@example.com"), at=utc_now())
        administration.change(session, actor, bob.id, UserUpdate(email="ana@example.com"), at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_a_login_that_nothing_disturbs_gets_a_token(database, people):
    ana = people.employee("Ana")

    assert finish_login(database, "ana@example.com", lambda _: None).user_id == ana.id


@pytest.mark.parametrize("change", ["password", "deactivate", "deactivate and activate"])
def test_a_token_ends_with_what_it_was_given_for(people, as_user, anonymous, change):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me, admin = as_user(ana), as_user(ada)
    assert me.get("/auth/me").status_code == 200

    for step in change.split(" and "):
        body = {"password": ANOTHER_PASSWORD} if step == "password" else None
        admin.put(f"/admin/users/{ana.id}/{step}", json=body)

    refused = me.get("/auth/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_change_of_name_or_role_ends_no_token(people, as_user):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me = as_user(ana)

    as_user(ada).patch(f"/admin/users/{ana.id}", json={"role": "manager", "last_name": "Costa"})

    assert [me.get("/auth/me").json()[name] for name in ("role", "last_name")] == ["manager", "Costa"]


def log_in(caller, email, *, password=PASSWORD, **others):
    return caller.post("/auth/login", data={"username": email, "password": password} | others)


def finish_login(database, email, in_between):
    """Log in with the right password, and call `in_between` during the check. Return None if the login is rejected."""
    attempt = LoginAttempt(email, None, TEST_CLIENT)
    with database.read_transaction() as session:
        account = login.find_credentials(session, attempt)
    with database.write_transaction() as session:
        in_between(session)
    try:
        with database.write_transaction() as session:
            return login.open_login_session(session, attempt, account, password_matches=True, at=utc_now())
    except LoginRefused:
        return None


def recorded_logins(server):
    server.wait_for_background()
    return [event for event in AuditLog(server.database, whole=True).new_events() if event.object_type == "login"]
