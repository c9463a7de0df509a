"""Constraints of the database, and the domain error for each violation (rules: E1, E2, P1, P4, J1).

The tests write without a service. The constraints apply even if a service lacks the check before a write.
`CONSTRAINT_EXAMPLES=1000` draws more examples of overlapping entries.
"""

import os
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, TextClause, bindparam, text
from sqlalchemy.exc import IntegrityError

from app.core.database.column_types import Instant
from app.services.constraints import error_from_constraint
from tests.support.factories import instant

ACCEPTED, UNMAPPED = "accepted", "a bug of ours"
Times = tuple[datetime, datetime | None]


def raw(sql: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=Instant) for name in ("start", "end") if f":{name}" in sql))


INSERT = raw("""
    INSERT INTO time_entry (user_id, project_id, start_time, end_time, description, time_zone, needs_review, version,
        created_at, updated_at)
    VALUES (:user_id, :project_id, :start, :end, '', 'UTC', FALSE, 1, :start, :start) RETURNING id
""")
MOVE = raw("UPDATE time_entry SET start_time = :start, end_time = :end WHERE id = :id")
MOVE_START = raw("UPDATE time_entry SET start_time = :start WHERE id = :id")
MOVE_END = raw("UPDATE time_entry SET end_time = :end WHERE id = :id")

# The existing entry, the entry to insert, the expected result. Intervals are half-open.
INSERT_CASES = [
    ("10:00 12:00", "10:30 11:30", "entry_overlaps"),
    ("10:00 12:00", "09:00 13:00", "entry_overlaps"),
    ("10:00 12:00", "09:00 11:00", "entry_overlaps"),
    ("10:00 12:00", "11:00 13:00", "entry_overlaps"),
    ("10:00 12:00", "10:00 12:00", "entry_overlaps"),
    ("10:00 12:00", "09:00 10:00:01", "entry_overlaps"),
    ("10:00 12:00", "11:59:59 13:00", "entry_overlaps"),
    ("10:00 12:00", "09:00 10:00", ACCEPTED),
    ("10:00 12:00", "12:00 13:00", ACCEPTED),
    ("10:00 12:00", "09:00 open", "entry_overlaps"),
    ("10:00 12:00", "10:00 open", "entry_overlaps"),
    ("10:00 12:00", "11:59:59 open", "entry_overlaps"),
    ("10:00 12:00", "12:00 open", ACCEPTED),
    ("10:00 12:00", "11:00 11:00", ACCEPTED),
    ("10:00 open", "09:00 11:00", "entry_overlaps"),
    ("10:00 open", "10:00 11:00", "entry_overlaps"),
    ("10:00 open", "11:00 12:00", "entry_overlaps"),
    ("10:00 open", "09:00 10:00", ACCEPTED),
    ("10:00 open", "11:00 11:00", ACCEPTED),
    ("10:00 open", "09:00 open", "already_clocked_in"),
    ("10:00 open", "10:00 open", "already_clocked_in"),
    ("10:00 open", "11:00 open", "already_clocked_in"),
    ("10:00 10:00", "09:00 11:00", ACCEPTED),
    ("10:00 10:00", "10:00 10:00", ACCEPTED),
    ("10:00 10:00", "09:00 open", ACCEPTED),
    ("10:00 12:00", "09:00 08:59:59", UNMAPPED),
]
# The entry to move, the other existing entry, the new times, the expected result.
UPDATE_CASES = [
    ("08:00 10:00", "10:00 12:00", "08:00 11:00", "entry_overlaps"),
    ("08:00 10:00", "10:00 12:00", "10:30 11:30", "entry_overlaps"),
    ("08:00 10:00", "10:00 12:00", "07:00 13:00", "entry_overlaps"),
    ("08:00 10:00", "10:00 12:00", "08:00 open", "entry_overlaps"),
    ("08:00 10:00", "10:00 12:00", "11:00 open", "entry_overlaps"),
    ("08:00 10:00", "10:00 12:00", "08:00 10:00", ACCEPTED),
    ("08:00 10:00", "10:00 12:00", "07:30 09:30", ACCEPTED),
    ("08:00 10:00", "10:00 12:00", "12:00 13:00", ACCEPTED),
    ("08:00 10:00", "10:00 12:00", "12:00 open", ACCEPTED),
    ("08:00 10:00", "10:00 12:00", "11:00 11:00", ACCEPTED),
    ("08:00 10:00", "10:00 12:00", "09:00 08:00", UNMAPPED),
    ("08:00 10:00", "12:00 open", "08:00 12:00", ACCEPTED),
    ("08:00 10:00", "12:00 open", "08:00 12:00:01", "entry_overlaps"),
    ("08:00 10:00", "12:00 open", "08:00 open", "already_clocked_in"),
    ("12:00 open", "08:00 10:00", "10:00 open", ACCEPTED),
    ("12:00 open", "08:00 10:00", "09:59:59 open", "entry_overlaps"),
    ("11:00 11:00", "10:00 12:00", "11:00 11:00:01", "entry_overlaps"),
]


def test_a_persons_entries_never_overlap(database, ana, website):
    results = []
    for existing, times, _ in INSERT_CASES:
        with _rolled_back(database) as connection:
            connection.execute(INSERT, entry(ana, website, existing))
            results.append((existing, times, refusal(connection, INSERT, entry(ana, website, times))))

    assert results == INSERT_CASES


def test_an_entry_never_moves_into_another(database, ana, website):
    results = []
    for moved, existing, times, _ in UPDATE_CASES:
        with _rolled_back(database) as connection:
            moved_id = connection.execute(INSERT, entry(ana, website, moved)).scalar_one()
            connection.execute(INSERT, entry(ana, website, existing))
            result = refusal(connection, MOVE, {"id": moved_id} | entry(ana, website, times))
            results.append((moved, existing, times, result))

    assert results == UPDATE_CASES


@pytest.mark.parametrize(("moved", "statement"), [("08:00 09:00", MOVE_END), ("13:00 14:00", MOVE_START)])
def test_one_end_of_an_entry_never_moves_into_another(database, ana, website, moved, statement):
    """A clock-out and most corrections write only one of the two instants."""
    with _rolled_back(database) as connection:
        moved_id = connection.execute(INSERT, entry(ana, website, moved)).scalar_one()
        connection.execute(INSERT, entry(ana, website, "10:00 12:00"))

        assert refusal(connection, statement, {"id": moved_id} | entry(ana, website, "11:00 11:00")) == "entry_overlaps"


def test_two_people_work_at_the_same_time(database, people, ana, website):
    bob = people.employee("Bob")

    with _rolled_back(database) as connection:
        connection.execute(INSERT, entry(ana, website, "10:00 12:00"))

        assert refusal(connection, INSERT, entry(bob, website, "10:00 12:00")) == ACCEPTED


def test_an_entry_is_never_handed_to_a_person_who_worked_then(database, people, ana, website):
    bob = people.employee("Bob")

    with _rolled_back(database) as connection:
        anas = connection.execute(INSERT, entry(ana, website, "10:00 12:00")).scalar_one()
        connection.execute(INSERT, entry(bob, website, "11:00 13:00"))
        hand_over = raw("UPDATE time_entry SET user_id = :user_id WHERE id = :id")

        assert refusal(connection, hand_over, {"id": anas, "user_id": bob.id}) == "entry_overlaps"


def test_the_id_of_a_deleted_entry_is_never_given_again(database, ana, website):
    """If the database assigned the id again, the new entry would inherit the history of the old one."""
    with _rolled_back(database) as connection:
        gone = connection.execute(INSERT, entry(ana, website, "10:00 12:00")).scalar_one()
        connection.execute(raw("DELETE FROM time_entry"))

        assert connection.execute(INSERT, entry(ana, website, "10:00 12:00")).scalar_one() > gone


EXAMPLES = int(os.environ.get("CONSTRAINT_EXAMPLES", "80"))
TIME_RANGES = st.tuples(st.integers(0, 12), st.none() | st.integers(0, 5))
STEPS = st.lists(st.tuples(st.none() | st.integers(0, 11), TIME_RANGES), max_size=12)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_database_accepts_exactly_what_overlaps_nothing(database, ana, website, steps):
    """Each step inserts an entry, or moves the existing entry with its number. The model is `overlap`."""
    held: dict[int, Times] = {}
    with _rolled_back(database) as connection:
        for number, (hour, length) in steps:
            start = instant("2026-03-02 00:00") + timedelta(hours=hour)
            times = (start, None if length is None else start + timedelta(hours=length))
            moved = list(held)[number] if number is not None and number < len(held) else None
            fits = not any(overlap(times, other) for entry_id, other in held.items() if entry_id != moved)
            values = {"id": moved, "user_id": ana.id, "project_id": website.id, "start": times[0], "end": times[1]}

            accepted = refusal(connection, INSERT if moved is None else MOVE, values) == ACCEPTED

            assert accepted == fits, f"{times} beside {held}"
            if accepted:
                held[moved or connection.execute(raw("SELECT MAX(id) FROM time_entry")).scalar_one()] = times


def overlap(one: Times, other: Times) -> bool:
    """Return True if two half-open intervals share an instant. An empty interval overlaps nothing."""
    (start, end), (other_start, other_end) = one, other
    if start == end or other_start == other_end:
        return False
    return (other_end is None or start < other_end) and (end is None or other_start < end)


RULES = [
    ('UPDATE "user" SET manager_id = id WHERE id = :ana', "manager_is_self"),
    ("""UPDATE "user" SET email_key = 'bob@example.com' WHERE id = :ana""", "email_taken"),
    ("UPDATE project SET name_key = 'shop' WHERE id = :website", "project_name_taken"),
    ("""UPDATE "user" SET role = 'boss' WHERE id = :ana""", UNMAPPED),
    ('UPDATE "user" SET manager_id = 1000 WHERE id = :ana', UNMAPPED),
    ("""UPDATE "user" SET time_zone = 'Mars/Base' WHERE id = :ana""", UNMAPPED),
    ("UPDATE time_entry SET user_id = 1000", UNMAPPED),
    ("UPDATE time_entry SET project_id = 1000", UNMAPPED),
    ("UPDATE time_entry SET description = NULL", UNMAPPED),
    ("INSERT INTO project_member (project_id, user_id) VALUES (:website, :ana)", UNMAPPED),
    ("INSERT INTO project_member (project_id, user_id) VALUES (1000, :ana)", UNMAPPED),
    ("INSERT INTO project_member (project_id, user_id) VALUES (:website, 1000)", UNMAPPED),
    ('DELETE FROM "user" WHERE id = :ana', UNMAPPED),
    ("DELETE FROM project WHERE id = :website", UNMAPPED),
    ("DELETE FROM time_zone", UNMAPPED),
]


def test_people_and_projects_keep_their_rules(database, people, ana):
    people.employee("Bob")
    website = people.project("Website", members=(ana,))
    people.project("Shop")
    people.entry(ana, website, "2026-03-02 10:00", "2026-03-02 12:00")

    results = []
    for sql, _ in RULES:
        with _rolled_back(database) as connection:
            results.append((sql, refusal(connection, raw(sql), {"ana": ana.id, "website": website.id})))

    assert results == RULES


def test_a_refusal_by_the_database_is_a_sentence_for_the_client(database, people, ana, website):
    people.entry(ana, website, "2026-03-02 10:00", "2026-03-02 12:00")

    with pytest.raises(IntegrityError) as rejected:
        people.entry(ana, website, "2026-03-02 11:00", "2026-03-02 13:00")

    assert str(error_from_constraint(rejected.value)) == "The times overlap another entry of this user. Change them."


def entry(user, project, times):
    start, end = times.split()
    return {
        "user_id": user.id,
        "project_id": project.id,
        "start": instant(f"2026-03-02 {start}"),
        "end": None if end == "open" else instant(f"2026-03-02 {end}"),
    }


def refusal(connection, statement, values):
    """Return the code of the domain error that the statement causes, UNMAPPED without one, or ACCEPTED."""
    params = {name: value for name, value in values.items() if name in statement.compile().params}
    try:
        with connection.begin_nested():
            connection.execute(statement, params)
    except IntegrityError as error:
        known = error_from_constraint(error)
        return UNMAPPED if known is None else known.code
    return ACCEPTED


def _rolled_back(database) -> Connection:
    """Return a connection whose writing transaction is rolled back at the end of the block."""
    return database.engine.execution_options(writes=True).connect()
