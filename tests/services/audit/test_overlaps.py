"""Entries that overlap although the database should have rejected them: `verify-audit` names them."""

from contextlib import contextmanager

import pytest
from sqlalchemy import text

from app.core.database.session import Database
from tests.services.audit.test_reconciliation import faults
from tests.support.factories import Company

EIGHT, NINE, TEN, NOON, TWO = (f"2026-03-02 {hour}:00" for hour in ("08", "09", "10", "12", "14"))
_INDEXES = "('ex_time_entry_no_overlap', 'uq_time_entry_one_open_per_user')"


@pytest.fixture
def people(people) -> Company:
    people.records_events = True
    return people


@contextmanager
def damaged_constraints(database: Database):
    """Leave the rows that are added meanwhile out of the indexes of both constraints. On SQLite, drop the triggers."""
    is_sqlite = database.settings.is_sqlite
    with database.write_transaction() as session:
        if is_sqlite:
            query = "SELECT name, sql FROM sqlite_master WHERE name LIKE '%no_overlap%' OR name LIKE 'uq%one_open%'"
            guards = session.execute(text(query)).all()
            for name, sql in guards:
                session.execute(text(f"DROP {sql.split()[1].replace('UNIQUE', 'INDEX')} {name}"))
        else:
            _set_ready(session, False)
    yield
    with database.write_transaction() as session:
        if not is_sqlite:
            _set_ready(session, True)
        for _, sql in guards if is_sqlite else ():
            session.execute(text(f"{sql} AND id < 0" if "INDEX" in sql else sql))


def _set_ready(session, is_ready):
    session.execute(
        text(
            "UPDATE pg_index SET indisready = :is_ready WHERE indexrelid IN "
            f"(SELECT oid FROM pg_class WHERE relname IN {_INDEXES})"
        ),
        {"is_ready": is_ready},
    )


def test_entries_that_overlap_are_named_once_each(people, database):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    long = people.entry(ana, website, EIGHT, NOON)
    people.entry(bob, website, NINE, TEN)
    with damaged_constraints(database):
        inner = people.entry(ana, website, NINE, TEN)
        last = people.entry(ana, website, TEN, TWO)

    assert faults(database) == [
        f"time_entry {long} and {inner} of user {ana.id} overlap.",
        f"time_entry {long} and {last} of user {ana.id} overlap.",
    ]


def test_a_second_open_entry_is_named(people, database):
    ana, website = people.employee("Ana"), people.project("Website")
    first = people.entry(ana, website, EIGHT, None)
    with damaged_constraints(database):
        second = people.entry(ana, website, EIGHT, None)

    assert faults(database) == [f"time_entry {first} and {second} of user {ana.id} overlap."]


def test_entries_that_touch_and_entries_without_length_overlap_nothing(people, database):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    people.entry(ana, website, EIGHT, TEN)
    people.entry(ana, website, TEN, NOON)
    people.entry(ana, website, NINE, NINE)
    people.entry(bob, website, NOON, None)

    assert faults(database) == []


def test_the_command_fails_and_names_the_pair(people, database, run_command):
    ana, website = people.employee("Ana"), people.project("Website")
    first = people.entry(ana, website, EIGHT, TEN)
    with damaged_constraints(database):
        second = people.entry(ana, website, NINE, NOON)

    verified = run_command("verify-audit")

    assert verified.exit_code == 1
    assert f"time_entry {first} and {second} of user {ana.id} overlap." in verified.stderr.splitlines()
