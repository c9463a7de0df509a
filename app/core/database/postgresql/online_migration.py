"""Migrating PostgreSQL while the service works on it: nobody waits long behind a migration that waits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from alembic import op
from app.core.database.postgresql.engine import APPLICATION_NAME, CONNECT_TIMEOUT_SECONDS
from app.core.time.clock import monotonic_seconds

LOCK_WAIT_SECONDS = 1
"""How long a migration queues for a lock: everybody who needs the table queues behind it."""
PAUSE_SECONDS = 3
"""Between two tries, in which the queue is worked off."""
GLANCE_SECONDS = 0.1
PATIENCE_SECONDS = 600
APPLICATION = f"{APPLICATION_NAME} migrate"
ONE_AT_A_TIME = 7265747474
"""The advisory lock of whoever migrates."""
_OPENING = f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'; SET LOCAL statement_timeout = 0"
_LONGEST = """
    SELECT pid, coalesce(nullif(application_name, ''), backend_type), coalesce(state, 'active'),
        extract(epoch FROM clock_timestamp() - xact_start)::int
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type IS DISTINCT FROM 'Lock'
        AND xact_start < clock_timestamp() - %(held)s * interval '1 second'
    ORDER BY xact_start LIMIT 3
"""
Say = Callable[[str], object]


class MigrationBlocked(TimeoutError):
    """Others kept what the migration needs for as long as it may wait; the message is one line that says who."""


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """A connection for migrations: plain, so that they can leave their transaction and open another."""
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "client_encoding": "utf8",
            "application_name": APPLICATION,
        },
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_OPENING))
    with engine.connect() as connection:
        yield connection


@contextmanager
def outside_transaction() -> Iterator[None]:
    """For what PostgreSQL does only outside of a transaction, such as CREATE INDEX CONCURRENTLY, in a migration.

    What the migration did before is committed. Inside, a lock is waited for without end: use it for statements behind
    which nobody else has to wait, and which can be run again after they were cut. SQLite stays in its transaction.
    """
    migration = op.get_context()
    if migration.dialect.name == "sqlite":
        yield
        return
    with migration.autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        yield


def patiently(url: URL, upgrade: Callable[[Connection], None], *, patience_seconds: float, say: Say) -> None:
    """Run the upgrade, alone, and again after a pause for as long as others keep what it needs. Each try goes on where
    the last one got to. Raises MigrationBlocked."""
    deadline = monotonic_seconds() + patience_seconds
    with connected(url) as watch:
        if not (alone := _is_alone(watch)):
            say("Waiting for another migration to end.")
        while not alone:
            _pause(GLANCE_SECONDS, deadline, "another migration is going on")
            alone = _is_alone(watch)
        while (blocked := _tried(url, upgrade)) is not None:
            say(f"Waiting for a lock: {(reason := f'{blocked}; {_held_by(watch)}')}.")
            _pause(PAUSE_SECONDS, deadline, reason)


def _is_alone(watch: Connection) -> bool:
    """Take the lock of whoever migrates for this transaction. It is asked for and not waited for: a statement that
    waits would hold up a CREATE INDEX CONCURRENTLY of the one who has it."""
    watch.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    return bool(watch.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({ONE_AT_A_TIME})").scalar())


def _tried(url: URL, upgrade: Callable[[Connection], None]) -> str | None:
    """The statement that didn't get its lock, None where all is done."""
    with connected(url) as connection:
        try:
            upgrade(connection)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
                raise
            return " ".join((error.statement or "").split())[:80]
    return None


def _held_by(watch: Connection) -> str:
    """Who may have it: whoever kept a lock for as long as it was waited for is in a transaction that old."""
    watch.exec_driver_sql("SELECT pg_stat_clear_snapshot()")  # else it shows what it showed before
    found = watch.exec_driver_sql(_LONGEST, {"held": LOCK_WAIT_SECONDS}).all()
    told = ", ".join(f"process {pid} ({name}, {state}, {seconds} s)" for pid, name, state, seconds in found)
    return f"the longest transactions: {told}" if told else "nobody has it any more"


def _pause(seconds: float, deadline: float, reason: str) -> None:
    """Raises MigrationBlocked after the deadline."""
    left = deadline - monotonic_seconds()
    if left <= 0:
        raise MigrationBlocked(f"Not migrated, for want of a lock: {reason}. Nothing is half done; run it again later.")
    time.sleep(min(seconds, left))
