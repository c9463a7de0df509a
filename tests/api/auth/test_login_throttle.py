"""Limits on failed logins (threats 13): per account and address, per address, per account."""

import time
from datetime import timedelta

import pytest

from app.core.errors import DomainError
from app.core.time.clock import utc_now
from app.models.tables import FAILED_LOGIN
from app.services.auth import login, login_throttle
from app.services.auth.login import LoginAttempt
from app.services.auth.login_sessions import Client
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, instant
from tests.support.in_process_server import run_server
from tests.support.query_counter import capture_statements_of

NINE = instant("2026-03-02 09:00")
OFFICE, HOME, THIEF = "203.0.113.7", "198.51.100.20", "192.0.2.66"


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def close_address(database):
    """Return a function that stores a hundred failed logins from an address: `close_address(OFFICE)`."""

    def close(address, *, at=NINE):
        rows = [{"account": f"person{number}", "address": address, "at": at} for number in range(100)]
        with database.write_transaction() as session:
            session.execute(FAILED_LOGIN.insert(), rows)

    return close


@pytest.fixture
def attempt(database, ana):
    """Return a function that tries to log in: `attempt(OFFICE, right=False)` returns an error code or "in"."""

    def at_instant(address, *, right=False, email="ana@example.com", at=NINE):
        login_attempt = LoginAttempt(email, None, Client(address, "a test"))
        try:
            with database.read_transaction() as session:
                account = login.find_credentials(session, login_attempt)
            with database.write_transaction() as session:
                login.open_login_session(session, login_attempt, account, password_matches=right, at=at)
        except DomainError as refusal:
            return refusal.code
        return "in"

    return at_instant


def test_ten_wrong_logins_in_five_minutes_close_an_account_to_that_address(attempt):
    tries = [attempt(THIEF) for _ in range(12)]

    assert tries == ["invalid_credentials"] * 10 + ["login_limit_reached"] * 2
    assert attempt(THIEF, right=True) == "login_limit_reached", "else the limit would tell a right guess"


def test_from_another_address_the_right_password_still_works(attempt):
    for _ in range(11):
        attempt(THIEF)

    assert attempt(HOME, right=True) == "in"


def test_a_colleague_in_the_same_office_is_not_locked_out(attempt, people):
    people.employee("Bob")
    for _ in range(11):
        attempt(OFFICE)

    assert attempt(OFFICE, email="bob@example.com", right=True) == "in"


def test_the_first_wrong_login_that_leaves_the_five_minutes_makes_room_for_another(attempt):
    for number in range(10):
        attempt(THIEF, at=NINE + timedelta(seconds=number))

    assert attempt(THIEF, at=NINE + timedelta(seconds=299)) == "login_limit_reached"
    assert attempt(THIEF, at=NINE + timedelta(seconds=300)) == "invalid_credentials"
    assert attempt(THIEF, at=NINE + timedelta(seconds=300)) == "login_limit_reached"


def test_knocking_on_a_closed_account_does_not_keep_it_closed(attempt):
    for number in range(300):
        attempt(THIEF, at=NINE + timedelta(seconds=number))

    assert attempt(THIEF, right=True, at=NINE + timedelta(seconds=310)) == "in"


def test_a_hundred_wrong_logins_in_five_minutes_close_the_service_to_an_address(attempt):
    for number in range(100):
        assert attempt(THIEF, email=f"person{number}@example.com") == "invalid_credentials"

    assert attempt(THIEF, right=True) == "login_limit_reached"
    assert attempt(OFFICE, right=True) == "in"
    assert attempt(THIEF, right=True, at=NINE + timedelta(minutes=5)) == "in"


def test_a_hundred_wrong_logins_in_an_hour_close_an_account_to_addresses_it_does_not_know(attempt):
    assert attempt(OFFICE, right=True) == "in"
    for number in range(100):
        assert attempt(f"192.0.2.{number}") == "invalid_credentials"

    assert attempt(HOME, right=True) == "login_limit_reached"
    assert attempt(OFFICE, right=True) == "in", "its person logged in from here before"
    assert attempt(HOME, right=True, at=NINE + timedelta(hours=1)) == "in"


def test_an_address_is_known_for_ninety_days(attempt):
    attempt(OFFICE, right=True, at=NINE - timedelta(days=90))
    attempt(HOME, right=True, at=NINE - timedelta(days=89))
    for number in range(100):
        attempt(f"192.0.2.{number}")

    assert attempt(OFFICE, right=True) == "login_limit_reached"
    assert attempt(HOME, right=True) == "in"


def test_one_customer_with_a_whole_ipv6_network_is_one_address(attempt):
    tries = [attempt(f"2001:db8:0:1::{number:x}") for number in range(11)]

    assert tries[-1] == "login_limit_reached"
    assert attempt("2001:db8:0:2::1", right=True) == "in"


def test_an_account_that_does_not_exist_is_closed_like_any_other(attempt):
    """Otherwise, eleven attempts would disclose which accounts exist."""
    tries = [attempt(THIEF, email=email) for email in ("nobody@example.com", "NOBODY@example.com") * 6]

    assert tries == ["invalid_credentials"] * 10 + ["login_limit_reached"] * 2


def test_what_is_too_old_to_count_is_not_kept(attempt, database):
    for number in range(10):
        attempt(f"192.0.2.{number}")

    attempt(THIEF, at=NINE + timedelta(hours=1))

    with database.read_transaction() as session:
        (left,) = session.execute(FAILED_LOGIN.select()).all()
    assert left.address == THIEF
    assert "ana" not in left.account


def test_a_refusal_says_how_long_to_wait(ana, anonymous):
    form = {"username": "ana@example.com", "password": "wrong-lantern-42-harbour"}

    started_at = time.monotonic()
    refused = [anonymous.post("/auth/login", data=form) for _ in range(11)][-1]
    passed = time.monotonic() - started_at

    assert (refused.status_code, refused.json()["code"]) == (429, "login_limit_reached")
    assert 298 - passed <= int(refused.headers["Retry-After"]) <= 300
    assert refused.headers["RateLimit-Policy"] == '"login-account-address";q=10;w=300'
    assert refused.headers["RateLimit"] == f'"login-account-address";r=0;t={refused.headers["Retry-After"]}'


def test_the_limit_holds_over_a_restart(ana, db_url):
    form = {"username": "ana@example.com", "password": "wrong-lantern-42-harbour"}

    answers = []
    for _ in range(2):
        with run_server(settings_for(db_url)) as server, server.caller() as anonymous:
            answers += [anonymous.post("/auth/login", data=form).status_code for _ in range(6)]

    assert answers == [401] * 10 + [429] * 2


@pytest.mark.parametrize("proxies", [[], ["127.0.0.0/8"]])
def test_another_forwarded_address_each_time_does_not_help(ana, db_url, proxies):
    """A trusted proxy appends the address that it sees to the header of the client. Without one, it is ignored."""
    form = {"username": "ana@example.com", "password": "wrong-lantern-42-harbour"}

    with (
        run_server(settings_for(db_url, HOST="0.0.0.0", TRUSTED_PROXIES=proxies)) as server,
        server.caller() as anonymous,
    ):
        answers = [
            anonymous.post(
                "/auth/login", data=form, headers={"X-Forwarded-For": f"192.0.2.{number}, {THIEF}"}
            ).status_code
            for number in range(11)
        ]

    assert answers[-1] == 429


def test_the_right_password_is_no_wrong_login(ana, anonymous):
    form = {"username": "ana@example.com", "password": PASSWORD}

    assert {anonymous.post("/auth/login", data=form).status_code for _ in range(12)} == {200}


def test_one_colleague_does_not_close_the_office_to_those_who_logged_in_there_before(attempt, people):
    people.employee("Bob")
    assert attempt(OFFICE, email="bob@example.com", right=True) == "in"
    for number in range(100):
        attempt(OFFICE, email=f"person{number}@example.com")

    assert attempt(OFFICE, email="bob@example.com", right=True) == "in"
    assert attempt(OFFICE, right=True) == "login_limit_reached", "Ana never was here"


def test_a_closed_office_refuses_every_wrong_password_alike(ana, people, database, anonymous, close_address):
    """Ana and Dan logged in there before, and Dan was deactivated since. No response tells that they work here."""
    with database.write_transaction() as session:
        for user in (ana, people.employee("Dan", is_active=False)):
            login_throttle.remember_address(session, user.id, "127.0.0.1", at=utc_now())
    close_address("127.0.0.1", at=utc_now())
    wrong = dict.fromkeys(("ana@example.com", "nobody@example.com"), "wrong-lantern-42-harbour")

    answers = [
        anonymous.post("/auth/login", data={"username": email, "password": password})
        for email, password in (wrong | {"dan@example.com": PASSWORD}).items()
        for _ in range(11)
    ]
    without = {"request_id", "retry_after_seconds"}
    bodies = [{name: value for name, value in answer.json().items() if name not in without} for answer in answers]

    assert {answer.status_code for answer in answers} == {429}
    assert bodies == bodies[:1] * 33
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"login-address";q=100;w=300'}


def test_a_closed_account_refuses_every_wrong_password_alike(attempt):
    attempt(OFFICE, right=True)
    for number in range(100):
        attempt(f"192.0.2.{number}")

    assert [attempt(address) for address in (OFFICE, HOME)] == ["login_limit_reached"] * 2
    assert attempt(OFFICE, right=True) == "in"


def test_ten_wrong_passwords_in_a_closed_office_close_it_to_the_right_one(attempt, close_address):
    attempt(OFFICE, right=True)
    for _ in range(4):
        attempt(OFFICE)
    close_address(OFFICE)
    for _ in range(5):
        attempt(OFFICE)
    assert attempt(OFFICE, right=True) == "in"

    attempt(OFFICE)

    assert attempt(OFFICE, right=True) == "login_limit_reached"
    assert attempt(OFFICE, right=True, at=NINE + timedelta(minutes=5)) == "in"


def test_attempts_in_a_closed_office_do_not_keep_it_closed(attempt, close_address):
    close_address(OFFICE)
    for number in range(150):
        attempt(OFFICE, email=f"person{number}@example.com", at=NINE + timedelta(minutes=4))
    for _ in range(11):
        attempt(OFFICE, right=True, at=NINE + timedelta(minutes=4))

    assert attempt(OFFICE, right=True, at=NINE + timedelta(minutes=5)) == "in"


def test_a_clock_that_was_an_hour_ahead_closes_no_account(attempt):
    for _ in range(10):
        attempt(THIEF, at=NINE + timedelta(hours=1))

    assert attempt(THIEF, right=True) == "in"


@pytest.mark.parametrize("is_closed", [False, True])
def test_unknown_and_known_accounts_ask_the_database_the_same(attempt, database, close_address, is_closed):
    """An additional statement is an additional round trip, which a client can measure."""
    attempt(THIEF, right=True)
    if is_closed:
        close_address(THIEF)
    counts = []
    for email in ("ana@example.com", "nobody@example.com"):
        with capture_statements_of(database.engine) as statements:
            attempt(THIEF, email=email)
        counts.append(len(statements))

    assert counts[0] == counts[1]
