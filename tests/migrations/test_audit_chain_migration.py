"""The migration of the audit log to chains loses no event on upgrade, downgrade and second upgrade."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import JSON, column, insert, select, table, text

from app.core.database.column_types import Instant
from app.core.database.session import Database
from app.models.tables import AUDIT_EVENT
from app.services.audit import recorder
from app.services.audit.verification import VerificationResult
from tests.support.audit_asserts import AuditLog
from tests.support.audit_tampering import AuditTamperer, update_row, verify_chains
from tests.support.databases import POSTGRESQL
from tests.support.factories import instant
from tests.support.migrations import connect_for_writing, run_alembic

pytestmark = pytest.mark.slow
FIRST_TABLES = "2026_11_23_first_tables"
ADA, MIA, ANA, BOB = 1, 2, 3, 5
NINE = instant("2026-03-02 09:00")
NAMES = ("id", "action", "actor_id", "subject_id", "object_type", "object_id", "reason", "request_id")
PLAIN = table(
    "audit_event",
    *(column(name) for name in NAMES),
    column("at", Instant),
    column("before", JSON(none_as_null=True)),
    column("after", JSON(none_as_null=True)),
)
Event = dict[str, Any]


def event(action: str, subject_id: int | None, object_id: int | None, *, minute: int, **values: Any) -> Event:
    nothing = {"actor_id": None, "before": None, "after": None, "reason": None}
    facts = {"subject_id": subject_id, "object_id": object_id, "at": NINE + timedelta(minutes=minute)}
    named = {"action": action, "object_type": action.partition(":")[0], "request_id": f"request-{minute}"}
    return nothing | facts | named | values


ANAS = {"email": "ana@example.com", "first_name": "Ana", "last_name": "Ñandú", "role": "employee", "manager_id": None}
# In the order of writing. The clock was set back once, and several events have the same second.
WRITTEN = [
    event("user:create", ADA, ADA, minute=0, after=ANAS | {"email": "ada@example.com", "role": "admin"}),
    event("user:deactivate", ADA, ADA, minute=-1, before={"is_active": True}, after={"is_active": False}),
    event("user:create", ANA, ANA, minute=1, actor_id=ADA, after=ANAS | {"is_active": True}),
    event("project:create", None, 7, minute=1, actor_id=ADA, after={"name": "Website", "is_active": True}),
    event("user:create", MIA, MIA, minute=3, actor_id=ADA, after=ANAS | {"last_name": "sha256: no", "first_name": ""}),
    event("login:refuse", None, None, minute=2, after={"email": "nobody@example.com"}),
    event("user:change", ANA, ANA, minute=4, before={"first_name": "Ana"}, after={"first_name": 'Anna "A." \u2028'}),
    event("time_entry:change", ANA, 9, minute=5, actor_id=MIA, before={}, after={"version": 2}, reason="Why not " * 60),
    event("login:accept", BOB, None, minute=6, actor_id=BOB),
    *(event("time_entry:clock_in", ANA, 10 + n, minute=7 + n // 3, actor_id=ANA, after={"n": n}) for n in range(1100)),
    *(event("project:change", None, 7, minute=7 + n // 2, reason=f"Reason {n}") for n in range(1100)),
]


@pytest.fixture
def chained(database) -> Database:
    """Migrate the old audit log to head."""
    run_alembic(database, "downgrade", FIRST_TABLES)
    with database.write_transaction() as session:
        session.execute(insert(PLAIN), [{"id": number, **each} for number, each in enumerate(WRITTEN, start=1)])
    run_alembic(database, "upgrade", "head")
    return database


def test_events_from_before_the_chains_are_chained_and_read_as_they_were(chained):
    with chained.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=5, events=len(WRITTEN))
    assert read(chained) == by_user(WRITTEN)


def test_what_happens_next_continues_their_chains(chained):
    with chained.write_transaction("request-9") as session:
        for user in (ANA, None, 77):
            recorder.record(session, "user:note", at=NINE, actor_id=ADA, subject_id=user, reason="Later")

    with chained.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=6, events=len(WRITTEN) + 3)


def test_their_names_emails_and_reasons_can_be_erased(chained):
    events = AuditTamperer(chained).events

    chained_text = "".join(f"{each.before} {each.after} {each.reason}" for each in events)
    personal = ("Ana", "Anna", "@example.com", "Why not", "Reason", "sha256: no")
    assert [each for each in personal if each in chained_text] == []
    assert [each for each in personal if not any(each in (event.personal or "") for event in events)] == []


def test_a_change_of_what_happened_before_the_chains_is_found(chained):
    tamperer = AuditTamperer(chained)
    first = tamperer.events_of_chain(ANA)[0]

    problem = tamperer.verify_after(update_row(AUDIT_EVENT, first, {"actor_id": BOB}))

    assert problem == f"Chain {ANA}, link 1 was changed. It does not match its content."


def test_on_the_way_back_the_events_read_as_before_and_can_be_chained_again(chained):
    run_alembic(chained, "downgrade", FIRST_TABLES)
    left = written(chained)
    run_alembic(chained, "upgrade", "head")

    assert [each.pop("id") for each in left] == list(range(1, len(WRITTEN) + 1))
    assert left == sorted(WRITTEN, key=lambda each: (each["at"], each["subject_id"] or 0))
    with chained.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=5, events=len(WRITTEN))
    assert read(chained) == by_user(left)


def test_events_are_given_ids_behind_the_last_on_the_way_back(chained):
    run_alembic(chained, "downgrade", FIRST_TABLES)
    with chained.write_transaction() as session:
        session.execute(insert(PLAIN), event("user:note", BOB, BOB, minute=9999))

    assert written(chained)[-1]["id"] == len(WRITTEN) + 1


def read(database: Database) -> list[Event]:
    return [asdict(each) for each in AuditLog(database, whole=True).new_events()]


def by_user(events: list[Event]) -> list[Event]:
    """Return the events ordered by user and position. Events that concern no user come last."""
    return [
        {"position": position, **each}
        for user in (ADA, MIA, ANA, BOB, None)
        for position, each in enumerate((each for each in events if each["subject_id"] == user), start=1)
    ]


def written(database: Database) -> list[Event]:
    with database.read_transaction() as session:
        return [dict(row) for row in session.execute(select(PLAIN).order_by(PLAIN.c.at, PLAIN.c.id)).mappings()]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_an_event_of_a_transaction_that_was_open_when_the_migration_came_is_not_lost(database, engine):
    """A user punches during the migration. The migration waits for the open transaction before it copies events."""
    run_alembic(database, "downgrade", FIRST_TABLES)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_event'::regclass")
    with ThreadPoolExecutor(1) as executor, connect_for_writing(database) as late, database.engine.connect() as watcher:
        late.execute(insert(PLAIN), {"id": 1} | event("login:accept", ANA, None, minute=0, actor_id=ANA))
        migrated = executor.submit(run_alembic, database, "upgrade", "head")
        while not watcher.execute(waiting).scalar_one():
            watcher.rollback()
            assert not migrated.done(), "the migration did not wait"
        watcher.rollback()  # a later migration creates an index concurrently, which waits for older snapshots
        late.commit()
        migrated.result()

    with database.read_transaction() as session:
        assert verify_chains(session).events == 1
