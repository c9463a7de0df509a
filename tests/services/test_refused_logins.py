"""Refused logins: how their counts get into the audit log, once and within an hour (rules: R1)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest

from app.core.errors import DomainError
from app.core.time.clock import utc_now
from app.models.tables import REFUSED_LOGIN
from app.services.audit.verification import verify
from app.services.auth import login, refused_logins
from app.services.auth.login import LoginAttempt
from app.services.auth.login_sessions import Client
from app.services.users import administration, personal_data
from tests.support.audit_asserts import AuditLog
from tests.support.factories import OPERATOR

NINE = utc_now().replace(minute=0, second=0) - timedelta(hours=12)
ONE_HOUR = timedelta(hours=1)


@pytest.fixture
def audit_log(database, ana):
    return AuditLog(database)


@pytest.fixture
def fail(database):
    """Return a function that sends a wrong password from a new address: `fail("ana@example.com", at=NINE)`."""
    numbers = count()

    def send(email, *, at):
        attempt = LoginAttempt(email, None, Client(f"192.0.2.{next(numbers)}", "a test"))
        with database.read_transaction() as session:
            account = login.find_credentials(session, attempt)
        with suppress(DomainError), database.write_transaction() as session:
            login.open_login_session(session, attempt, account, password_matches=False, at=at)

    return send


def record(database, *, at):
    """Do what the service does after each login."""
    with database.write_transaction("test") as session:
        refused_logins.record_due(session, at=at)


def counts(event):
    return {name: count for name, count in event.after.items() if name not in {"first_at", "last_at"}}


def test_a_refused_login_is_on_record_at_once(ana, fail, database, audit_log):
    fail("ana@example.com", at=NINE)
    record(database, at=NINE)

    (event,) = audit_log.new_events()

    assert (event.action, event.actor_id, event.subject_id, event.at) == ("login:refuse", None, ana.id, NINE)
    assert event.after == {"first_at": f"{NINE:%Y-%m-%dT%H:%M:%SZ}", "last_at": f"{NINE:%Y-%m-%dT%H:%M:%SZ}"} | {
        "wrong_passwords": 1
    }


def test_further_ones_are_one_event_when_an_hour_has_passed(fail, database, audit_log):
    for minute in range(0, 60, 3):
        fail("ana@example.com", at=NINE + timedelta(minutes=minute))
        record(database, at=NINE + timedelta(minutes=minute))
    assert [counts(event) for event in audit_log.new_events()] == [{"wrong_passwords": 1}]

    record(database, at=NINE + ONE_HOUR)

    (event,) = audit_log.new_events()
    assert counts(event) == {"wrong_passwords": 19}
    assert [event.after["first_at"][11:16], event.after["last_at"][11:16]] == [
        f"{NINE:%H}:03",
        f"{NINE:%H}:57",
    ]


def test_a_day_of_guesses_at_one_account_is_25_events_at_most(fail, database, audit_log):
    for minute in range(0, 24 * 60, 10):
        fail("ana@example.com", at=NINE + timedelta(minutes=minute))
        record(database, at=NINE + timedelta(minutes=minute))
    record(database, at=NINE + timedelta(hours=24))

    events = audit_log.new_events()

    assert len(events) == 25
    assert sum(counts(event)["wrong_passwords"] for event in events) == 24 * 6


def test_all_emails_of_nobody_share_one_event(fail, database, audit_log):
    for number in range(50):
        fail(f"person{number}@example.com", at=NINE)
        record(database, at=NINE)
    record(database, at=NINE + ONE_HOUR)

    events = audit_log.new_events()

    assert [(event.subject_id, counts(event)) for event in events] == [
        (None, {"wrong_passwords": 1}),
        (None, {"wrong_passwords": 49}),
    ]


def test_attempts_beyond_a_limit_are_counted_too(fail, database, audit_log):
    for _ in range(103):
        fail("ana@example.com", at=NINE)
    record(database, at=NINE)

    assert [counts(event) for event in audit_log.new_events()] == [{"wrong_passwords": 100, "over_limit": 3}]


def test_worker_processes_that_record_at_once_write_each_count_once(ana, people, fail, database, audit_log):
    """The accounts are due for all of them at the same instant, and more logins are refused meanwhile."""
    staff = ["ana@example.com", "nobody@example.com"]
    staff += [people.employee(f"Person{number}").email for number in range(5)]
    for email in staff:
        fail(email, at=NINE)
    audit_log.new_events()

    with ThreadPoolExecutor(8) as workers:
        jobs = [workers.submit(record, database, at=NINE) for _ in range(16)]
        jobs += [workers.submit(fail, "ana@example.com", at=NINE) for _ in range(16)]
        for job in jobs:
            job.result()
    at_once = audit_log.new_events()
    record(database, at=NINE + ONE_HOUR)
    events = at_once + audit_log.new_events()

    assert sorted(event.subject_id or 0 for event in at_once) == sorted({e.subject_id or 0 for e in events})
    assert sum(counts(event)["wrong_passwords"] for event in events) == len(staff) + 16
    assert len([event for event in events if event.subject_id == ana.id]) == 2
    with database.read_transaction() as session:
        verify(session, [], on_progress=lambda *_: None)


def test_a_crash_before_the_commit_loses_no_count(fail, database, audit_log):
    fail("ana@example.com", at=NINE)

    with pytest.raises(KeyboardInterrupt), database.write_transaction() as session:
        refused_logins.record_due(session, at=NINE)
        raise KeyboardInterrupt
    record(database, at=NINE)

    assert [counts(event) for event in audit_log.new_events()] == [{"wrong_passwords": 1}]


def test_what_an_event_holds_is_not_kept_beside_it(fail, database):
    fail("ana@example.com", at=NINE)
    fail("nobody@example.com", at=NINE)
    for at in (NINE, NINE + ONE_HOUR):
        record(database, at=at)

    with database.read_transaction() as session:
        assert session.execute(REFUSED_LOGIN.select()).all() == []


def test_more_accounts_than_one_batch_are_recorded_by_the_next_logins(people, fail, database, audit_log):
    for number in range(refused_logins.BATCH_SIZE + 2):
        fail(people.employee(f"Person{number}").email, at=NINE)
    audit_log.new_events()

    record(database, at=NINE)
    first = audit_log.new_events()
    record(database, at=NINE)

    assert (len(first), len(audit_log.new_events())) == (refused_logins.BATCH_SIZE, 2)


def test_erasing_ana_records_what_is_counted_and_deletes_it(ana, fail, database, audit_log):
    for _ in range(3):
        fail("ana@example.com", at=NINE)
        record(database, at=NINE)
    with database.write_transaction() as session:
        administration.deactivate(session, OPERATOR, ana.id, at=NINE)
        personal_data.erase(session, ana.id, at=NINE)

    events = audit_log.new_events()

    assert [event.action for event in events] == ["login:refuse", "user:deactivate", "login:refuse", "user:erase"]
    assert [counts(event) for event in events[::2]] == [{"wrong_passwords": 1}, {"wrong_passwords": 2}]
    with database.read_transaction() as session:
        assert session.execute(REFUSED_LOGIN.select()).all() == []
        verify(session, [], on_progress=lambda *_: None)
