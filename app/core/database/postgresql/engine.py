"""The SQLAlchemy engine for PostgreSQL: timeouts, connection checks, and batching of BEGIN with the first statement."""

import math
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import Error as PostgreSQLError
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext, ExecutionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlmodel import create_engine

from app.core.config.settings import Settings
from app.core.database.execution_options import PREPARE, SEND_FIRST
from app.core.database.postgresql.call_timeout import ConnectionWatchdog
from app.core.database.postgresql.connection import BatchingConnection, CommitOutcomeUnknown

CONNECT_TIMEOUT_SECONDS = 2  # for each host of DB_URL. It is libpq's minimum.
POOL_WAIT_SECONDS = 2
CALL_GRACE_SECONDS = 0.5
"""Seconds after the server's own timeout until the client closes the connection."""
APPLICATION_NAME = "employee-time-tracking-api"
ROLLED_BACK_SQLSTATES = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: PostgreSQL rolled the transaction back because of another one."""
LOCK_NOT_AVAILABLE = "55P03"
STALE_CONNECTION_SQLSTATES = frozenset({"0A000", "26000", "25006"})
"""Errors of a stale connection, which must be replaced.

feature_not_supported: a plan was prepared before a migration. invalid_sql_statement_name: a prepared statement was
deallocated. read_only_sql_transaction: the primary became a standby.
"""
_WRITE_PLANS = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; "
"""Settings for the plans of write transactions. Each prepared statement is planned once per connection.

By default PostgreSQL plans the statement of a punch again at each EXECUTE, which takes longer than its execution. The
one plan must also suit the tables when they have grown. So it uses indexes even if the tables were nearly empty when it
was made.
"""
_TERMINATE_BACKENDS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(%(ids)s) AND application_name = %(application)s AND usename = current_user AND wait_event = 'SyncRep'
"""


def postgresql_engine(settings: Settings) -> tuple[Engine, ConnectionWatchdog]:
    """Return an engine whose connections have a timeout for every call, and the watchdog that enforces it."""

    def terminate_backends(ids: list[int]) -> None:
        _terminate_backends(engine, arguments, ids)

    watchdog = ConnectionWatchdog(terminate_backends)
    arguments = connect_arguments() | {"connection_factory": partial(BatchingConnection, watchdog)}
    engine = create_engine(
        settings.database_url,
        pool_size=settings.max_db_connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,  # otherwise errors log them, with e-mails and hashes
        connect_args=arguments,
        use_native_hstore=False,  # not used, and its lookup would use a cursor without a deadline
    )
    _set_transaction_limits(engine, settings)
    event.listen(engine, "checkout", _check_alive)
    event.listen(engine, "checkin", _mark_idle)
    event.listen(engine, "handle_error", _invalidate_stale_connections)
    event.listen(engine, "before_cursor_execute", _before_statement, retval=True)
    event.listen(engine, "engine_disposed", lambda _engine: watchdog.stop())
    return engine, watchdog


def set_statement_timeout(connection: Connection, seconds: int) -> None:
    """Set the timeout in seconds for each statement of this transaction. 0 means no timeout."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{seconds}s'")
    get_dbapi_connection(connection).call_timeout_seconds = seconds + CALL_GRACE_SECONDS if seconds else math.inf


def render_prepared(connection: BatchingConnection, statement: str, values: Mapping[str, Any]) -> str:
    """Return the SQL that executes a statement with these values, as a prepared statement, to be sent with others."""
    with connection.cursor() as cursor:
        sql: bytes = cursor.mogrify(connection.prepare(statement, values), values)
    return f"{sql.decode()}; "


def is_retryable(error: DBAPIError) -> bool:
    """Return True if nothing of the failed transaction was stored and a retry may succeed.

    That is the case after a deadlock, after a serialization failure, and if the connection was stale or was lost before
    COMMIT was sent.
    """
    if isinstance(error.orig, CommitOutcomeUnknown):
        return False
    return (
        getattr(error.orig, "pgcode", None) in ROLLED_BACK_SQLSTATES | STALE_CONNECTION_SQLSTATES
        or error.connection_invalidated
    )


def is_lock_not_available(error: DBAPIError) -> bool:
    """Return True if a statement has waited for a lock for the lock timeout. Its transaction is rolled back."""
    return getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE


def get_dbapi_connection(connection: Connection) -> BatchingConnection:
    """Return the psycopg2 connection."""
    dbapi_connection = connection.connection.dbapi_connection
    assert isinstance(dbapi_connection, BatchingConnection)
    return dbapi_connection


def _set_transaction_limits(engine: Engine, settings: Settings) -> None:

    limits = (
        f"SET LOCAL statement_timeout = '{settings.DB_STATEMENT_TIMEOUT_SECONDS}s'; "
        f"SET LOCAL lock_timeout = '{settings.DB_LOCK_TIMEOUT_SECONDS}s'; "
        "SET LOCAL idle_in_transaction_session_timeout = '30s'; "
        "SET LOCAL jit = off; "  # JIT compilation of a report takes longer than its execution
    )
    begin_write = f"BEGIN; {limits}{_WRITE_PLANS}"
    begin_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}"
    call_timeout_seconds = settings.DB_STATEMENT_TIMEOUT_SECONDS + CALL_GRACE_SECONDS

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        get_dbapi_connection(connection).begin_with(
            begin_write if writes else begin_read, call_timeout_seconds=call_timeout_seconds
        )

    event.listen(engine, "begin", begin)


def _terminate_backends(engine: Engine, arguments: dict[str, Any], ids: list[int]) -> None:
    """Terminate the server's backends of aborted connections whose COMMIT waits for a synchronous standby.

    Such a backend waits even after its client has disconnected, and enough of them exhaust max_connections. Behind a
    connection pooler none is found.
    """
    args, options = engine.dialect.create_connect_args(engine.url)
    with (
        suppress(PostgreSQLError),
        closing(psycopg2.connect(*args, **{**options, **arguments})) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(_TERMINATE_BACKENDS, {"ids": ids, "application": APPLICATION_NAME})


def connect_arguments() -> dict[str, Any]:
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 8000,
        "client_encoding": "utf8",  # independent of the database's encoding: execute_later decodes its SQL as UTF-8
        "application_name": APPLICATION_NAME,
    }


def _check_alive(dbapi_connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Replace all pooled connections if this one is dead: after a restart of PostgreSQL none of them works."""
    assert isinstance(dbapi_connection, BatchingConnection)
    if not dbapi_connection.is_alive():
        raise InvalidatePoolError


def _mark_idle(dbapi_connection: DBAPIConnection | None, _record: object) -> None:
    if isinstance(dbapi_connection, BatchingConnection):
        dbapi_connection.mark_idle()


def _invalidate_stale_connections(context: ExceptionContext) -> None:
    """Invalidate the whole pool: if one connection is stale, all are."""
    if getattr(context.original_exception, "pgcode", None) in STALE_CONNECTION_SQLSTATES:
        context.is_disconnect = True


def _before_statement(
    _connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: ExecutionContext | None,
    executemany: bool,
) -> tuple[str, Any]:
    """Send BEGIN, the timeouts and the SQL of SEND_FIRST in the same round trip as the statement.

    The timeouts use SET LOCAL because PgBouncer rejects them as connection options.
    """
    queued_sql = cursor.connection.pop_queued().replace("%", "%%")
    if cursor.name is not None:
        cursor.withhold = True  # required in autocommit mode, where psycopg2 sees no transaction
    if queued_sql and (executemany or cursor.name is not None):  # a server-side cursor accepts only one statement
        with cursor.connection.cursor() as plain_cursor:
            plain_cursor.execute(queued_sql, ())
        return statement, parameters
    options = context.execution_options if context is not None else {}
    if PREPARE in options:
        statement = cursor.connection.prepare(statement, parameters)
    for first in options.get(SEND_FIRST, ()):
        queued_sql += render_prepared(cursor.connection, *first).replace("%", "%%")
    return f"{queued_sql}{statement}", parameters
