"""Online migrations on PostgreSQL: a short lock_timeout and retries.

No request queues for more than LOCK_TIMEOUT_SECONDS behind a migration that waits for a lock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from alembic import op
from app.core.database.postgresql.engine import APPLICATION_NAME, connect_arguments
from app.core.time.clock import monotonic_seconds

LOCK_TIMEOUT_SECONDS = 1
RETRY_PAUSE_SECONDS = 3
TOTAL_WAIT_SECONDS = 600
MIGRATION_LOCK_ID = 7265747474
_BEGIN = f"""
    SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s';
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0
"""
_LONGEST_TRANSACTIONS = """
    SELECT pg_stat_clear_snapshot();
    SELECT string_agg(concat('process ', pid, ' (', name, ', ', state, ', ', seconds, ' s)'), ', ')
    FROM (
        SELECT pid, coalesce(nullif(application_name, ''), backend_type) AS name, coalesce(state, 'active') AS state,
            extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type IS DISTINCT FROM 'Lock'
        ORDER BY xact_start LIMIT 3
    ) AS oldest
    WHERE seconds >= 1
"""
Report = Callable[[str], object]


class MigrationBlocked(TimeoutError):
    """The migration got no lock within its total wait. The message is one line and lists the longest transactions."""


@contextmanager
def connect(url: URL) -> Iterator[Connection]:
    """Open a plain connection for migrations, on which a migration may end its transaction and begin another."""
    arguments = connect_arguments() | {"application_name": f"{APPLICATION_NAME} migrate"}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_BEGIN))
    with engine.connect() as connection:
        yield connection


@contextmanager
def autocommit() -> Iterator[None]:
    """Leave the migration's transaction, for statements such as CREATE INDEX CONCURRENTLY. SQLite stays in it.

    Earlier statements of the migration are committed. Inside the block there is no lock timeout. Use it only for
    statements that block no requests while they wait, and that can run again after an interruption.
    """
    migration = op.get_context()
    if migration.dialect.name == "sqlite":
        yield
        return
    with migration.autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        yield


def upgrade_with_lock_retries(
    url: URL, upgrade: Callable[[Connection], None], *, total_wait_seconds: float, report: Report
) -> None:
    """Run the upgrade while no other migration runs. Retry it after a pause if it got no lock.

    A retry continues after the last migration that was committed. `report` receives the reason for each wait.

    Raises MigrationBlocked after `total_wait_seconds`.
    """
    deadline = monotonic_seconds() + total_wait_seconds
    with connect(url) as lock:
        while reason := _try_upgrade(lock, url, upgrade):
            remaining_seconds = deadline - monotonic_seconds()
            if remaining_seconds <= 0:
                reason = f"The migration got no lock: {reason}. Nothing is half done; run it again later."
                raise MigrationBlocked(reason)
            report(f"Waiting for a lock: {reason}.")
            time.sleep(min(RETRY_PAUSE_SECONDS, remaining_seconds))


def _try_upgrade(lock: Connection, url: URL, upgrade: Callable[[Connection], None]) -> str | None:
    """Return None if the upgrade is done, else the reason why it got no lock.

    The advisory lock is polled because a statement that waits for it holds a snapshot. A CREATE INDEX CONCURRENTLY of
    the migration that holds the lock would wait for that snapshot.
    """
    if not lock.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK_ID})").scalar():
        return "another migration is running"
    try:
        with connect(url) as connection:
            upgrade(connection)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
            raise
        statement = " ".join((error.statement or "").split())[:80]
        return (
            f"{statement}; the longest transactions: {lock.exec_driver_sql(_LONGEST_TRANSACTIONS).scalar() or 'none'}"
        )
    return None
