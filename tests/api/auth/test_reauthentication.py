"""The password again before an API token or a second factor, which outlast a stolen login session (threats 5)."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core.time.clock import utc_now
from app.models.tables import API_TOKEN, LOGIN_SESSION, SECOND_FACTOR
from tests.support.audit_asserts import AuditLog
from tests.support.factories import PASSWORD

TOKEN_REQUEST = {
    "name": "Terminal at the gate",
    "scopes": ["entries:write"],
    "expires_at": f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}",
}
OPERATIONS = {"an API token": ("/auth/api-tokens", TOKEN_REQUEST, 201), "a second factor": ("/auth/totp", {}, 200)}


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def log_in_before(ana, as_user, server):
    """Return a client of Ana's who logged in so long ago, and has refreshed the tokens since."""

    def log_in(**age):
        caller = as_user(ana)
        with server.database.write_transaction() as session:
            session.execute(update(LOGIN_SESSION).values(created_at=utc_now() - timedelta(**age)))
        return caller

    return log_in


@pytest.fixture(params=OPERATIONS)
def create(request):
    """Return a function that creates a credential which outlasts the login session."""
    path, body, _status = OPERATIONS[request.param]

    def send(caller, **fields):
        return caller.post(path, json=body | fields)

    send.created = OPERATIONS[request.param][2]
    return send


def test_a_stolen_session_creates_nothing_that_outlasts_it(log_in_before, server, create):
    thief = log_in_before(minutes=6)

    refused = create(thief)

    assert (refused.status_code, refused.json()["code"]) == (403, "current_password_required")
    assert "current_password" in refused.json()["detail"]
    with server.database.read_transaction() as session:
        assert [session.execute(select(table)).all() for table in (API_TOKEN, SECOND_FACTOR)] == [[], []]


def test_with_the_password_a_session_of_any_age_will_do(log_in_before, create):
    assert create(log_in_before(days=20), current_password=PASSWORD).status_code == create.created


def test_within_five_minutes_of_the_login_the_password_need_not_be_typed_again(log_in_before, create):
    """So that a client of an earlier version, which logs in and then creates a token, still works."""
    assert create(log_in_before(minutes=4)).status_code == create.created


def test_a_wrong_password_is_refused_even_right_after_the_login(log_in_before, server, create):
    caller = log_in_before(minutes=0)
    audit_log = AuditLog(server.database)

    refused = create(caller, current_password="guess-lantern-1-harbour")
    server.wait_for_background()

    assert (refused.status_code, refused.json()["code"]) == (403, "invalid_password")
    (event,) = audit_log.new_events()
    assert (event.action, event.after["wrong_passwords"]) == ("login:refuse", 1)


def test_a_stolen_session_guesses_here_no_faster_than_at_the_login(log_in_before, anonymous, create):
    thief = log_in_before(minutes=0)

    answers = [create(thief, current_password=f"guess-lantern-{number}-harbour") for number in range(11)]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    assert create(thief, current_password=PASSWORD).status_code == 429
    at_the_login = anonymous.post("/auth/login", data={"username": "ana@example.com", "password": "wrong-lantern-9"})
    assert at_the_login.json()["code"] == "login_limit_reached"


def test_an_enrollment_needs_no_body_after_a_login(log_in_before):
    me = log_in_before(minutes=0)

    assert me.post("/auth/totp").status_code == 200
    assert me.post("/auth/totp", json={"password": PASSWORD}).status_code == 422, "the field is current_password"
