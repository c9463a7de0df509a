"""Limits of SQL by hand on locked entries, and the faults that `verify-audit` finds (rules: S6)."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.services.constraints import error_from_constraint
from app.services.timesheets.verification import verify

COLUMNS = {
    "id": "id + 1000",
    "user_id": "user_id - 1",
    "project_id": "project_id + 1",
    "start_time": "end_time",
    "end_time": "NULL",
    "description": "'Other'",
    "time_zone": "'UTC'",
    "needs_review": "NOT needs_review",
    "version": "version + 1",
    "created_at": "end_time",
    "updated_at": "end_time",
}
INSERT = """
    INSERT INTO time_entry (user_id, project_id, start_time, end_time, description, time_zone, needs_review, version,
        created_at, updated_at, timesheet_id)
    SELECT user_id, project_id, end_time, end_time, 'Added', time_zone, FALSE, 1, created_at, updated_at, {sheet}
    FROM time_entry WHERE id = :entry
"""
UNLOCK = "UPDATE time_entry SET timesheet_id = NULL WHERE id = :entry"


@pytest.fixture
def execute(database):
    """Return a function that runs SQL by hand, as somebody with access to the database."""

    def run(*statements, **values):
        with database.write_transaction("by hand") as session:
            return [session.execute(text(each), values).rowcount for each in statements]

    return run


@pytest.fixture
def faults(database, ana, bob):
    """Return a function that returns what the verification finds."""

    def find():
        with database.read_transaction() as session:
            result = verify(session)
        assert result.sheets == 2
        assert result.faults == len(result.named_faults)
        names = {f"user {user.id}": user.first_name for user in (ana, bob)}
        return [re.sub(r"user \d+", lambda user: names.get(user[0], user[0]), each) for each in result.named_faults]

    return find


def code_of_refusal(execute, statement, **values):
    with pytest.raises(IntegrityError) as refusal:
        execute(statement, **values)
    error = error_from_constraint(refusal.value)
    assert error is not None
    return error.code


@pytest.mark.parametrize("column", COLUMNS)
def test_no_column_of_a_locked_entry_changes(execute, faults, march, column):
    entry = march[0] if column == "time_zone" else march[1]
    change = f"UPDATE time_entry SET {column} = {COLUMNS[column]}"

    assert code_of_refusal(execute, f"{change} WHERE id = :entry", entry=entry) == "entry_locked"
    assert code_of_refusal(execute, f"{change}, timesheet_id = NULL WHERE id = :entry", entry=entry) == "entry_locked"
    assert faults() == []


def test_every_column_of_an_entry_is_locked(database, march):
    with database.read_transaction() as session:
        present = set(session.execute(text("SELECT * FROM time_entry")).keys())

    assert present == {*COLUMNS, "timesheet_id"}


def test_a_locked_entry_is_neither_deleted_nor_given_to_another_timesheet(execute, faults, march):
    delete = "DELETE FROM time_entry WHERE id = :entry"
    swap = "UPDATE time_entry SET timesheet_id = (SELECT max(id) FROM timesheet) WHERE id = :entry"
    same = "UPDATE time_entry SET timesheet_id = timesheet_id WHERE id = :entry"

    assert [code_of_refusal(execute, each, entry=march[1]) for each in (delete, swap, same)] == ["entry_locked"] * 3
    assert faults() == []


def test_an_entry_is_unlocked_alone_and_then_changes(execute, faults, march):
    assert execute(UNLOCK, "UPDATE time_entry SET description = 'Other' WHERE id = :entry", entry=march[1]) == [1, 1]
    assert faults() == [
        f"time_entry {march[1]} of Ana starts in the timesheet from 2026-03-01, but has timesheet_id None.",
        "The timesheet of Ana from 2026-03-01 has other entries than its digest.",
    ]


def test_an_entry_that_was_only_unlocked_is_found(execute, faults, march):
    execute(UNLOCK, entry=march[3])

    assert faults() == [
        f"time_entry {march[3]} of Ana starts in the timesheet from 2026-03-01, but has timesheet_id None."
    ]


@pytest.mark.parametrize("sheet", ["NULL", "timesheet_id"])
def test_an_entry_that_was_added_to_a_locked_period_is_found(execute, faults, march, sheet):
    execute(INSERT.format(sheet=sheet), entry=march[4])

    found = faults()

    assert "The timesheet of Bob from 2026-03-01 has other entries than its digest." in found
    assert len(found) == (2 if sheet == "NULL" else 1)


def test_an_entry_that_was_removed_from_a_locked_period_is_found(execute, faults, march):
    execute(UNLOCK, "DELETE FROM time_entry WHERE id = :entry", entry=march[2])

    assert faults() == ["The timesheet of Ana from 2026-03-01 has other entries than its digest."]


def test_a_changed_digest_is_found(execute, faults, march):
    execute("UPDATE timesheet SET digest = (SELECT max(digest) FROM timesheet)")

    assert len(faults()) == 1


def test_an_entry_with_the_timesheet_of_somebody_else_is_found(execute, faults, march, people, website):
    eve = people.employee("Eve")
    in_march = people.entry(eve, website, "2026-03-02 08:00", "2026-03-02 12:00")
    execute("UPDATE time_entry SET timesheet_id = (SELECT min(id) FROM timesheet) WHERE id = :entry", entry=in_march)

    assert faults() == [
        f"time_entry {in_march} of user {eve.id} starts in no locked timesheet, but has timesheet_id 1."
    ]


def test_days_of_a_timesheet_that_sql_moved_are_found(execute, faults, march, ana):
    execute("UPDATE timesheet SET last_day = '2026-03-30' WHERE user_id = :user", user=ana.id)

    assert len(faults()) == 2


def test_the_command_says_what_was_added_and_fails(execute, march, run_command):
    intact = run_command("verify-audit")
    execute(INSERT.format(sheet="NULL"), entry=march[1])
    tampered = run_command("verify-audit")

    assert intact.exit_code == 0, intact.output
    assert intact.exit_code == 0, intact.output
    assert "Timesheets verified: 2 submitted or approved." in intact.output
    assert tampered.exit_code == 1
    assert "Timesheets differ from their entries: 2 faults." in tampered.output
