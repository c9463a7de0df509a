"""The engine for PostgreSQL: how its connections are set up, and what travels with a transaction's first statement."""

import math
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

CONNECT_TIMEOUT_SECONDS = 2  # for each host of DB_URL; libpq takes no less
POOL_WAIT_SECONDS = 2
CALL_GRACE_SECONDS = 0.5
"""What an answer may take beyond the server's own time-out before the connection is given up."""
APPLICATION_NAME = "employee-time-tracking-api"
ROLLED_BACK_SQLSTATES = frozenset({"40001", "40P01"})
"""A transaction that lost against another one: serialization_failure, deadlock_detected. All of it was undone."""
STALE_CONNECTION_SQLSTATES = frozenset({"0A000", "26000", "25006"})
"""What says that a connection is out of date: a plan of before a migration, a plan that somebody discarded, a primary
that has become a standby."""
_TERMINATE_BACKENDS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(%(ids)s) AND application_name = %(application)s AND usename = current_user AND wait_event = 'SyncRep'
"""


def postgresql_engine(settings: Settings) -> tuple[Engine, ConnectionWatchdog]:
    """Connections with a limit on everything that may be waited for, and one round trip less for each transaction; and
    who sees to the limit."""

    def terminate_backends(ids: list[int]) -> None:
        _terminate_backends(engine, arguments, ids)

    watchdog = ConnectionWatchdog(terminate_backends)
    arguments = connect_arguments() | {"connection_factory": partial(BatchingConnection, watchdog)}
    engine = create_engine(
        settings.database_url,
        pool_size=settings.max_db_connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,  # an error would quote them in the log: e-mails, hashes
        connect_args=arguments,
        use_native_hstore=False,  # nothing has it, and it would be looked for by a cursor without a deadline
    )
    _set_transaction_limits(engine, settings)
    event.listen(engine, "checkout", _check_alive)
    event.listen(engine, "checkin", _mark_idle)
    event.listen(engine, "handle_error", _invalidate_stale_connections)
    event.listen(engine, "before_cursor_execute", _before_statement, retval=True)
    event.listen(engine, "engine_disposed", lambda _engine: watchdog.stop())
    return engine, watchdog


def set_statement_timeout(connection: Connection, seconds: int) -> None:
    """Let each statement of this transaction take so long; 0 is for ever."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{seconds}s'")
    get_dbapi_connection(connection).call_timeout_seconds = seconds + CALL_GRACE_SECONDS if seconds else math.inf


def is_retryable(error: DBAPIError) -> bool:
    """Whether nothing is left of the transaction that failed, and the next may do better.

    So where the database undid it for the sake of another, and where its connection was out of date or lost before the
    COMMIT was sent.
    """
    if isinstance(error.orig, CommitOutcomeUnknown):
        return False
    return (
        getattr(error.orig, "pgcode", None) in ROLLED_BACK_SQLSTATES | STALE_CONNECTION_SQLSTATES
        or error.connection_invalidated
    )


def get_dbapi_connection(connection: Connection) -> BatchingConnection:
    """The connection as psycopg2 knows it."""
    dbapi_connection = connection.connection.dbapi_connection
    assert isinstance(dbapi_connection, BatchingConnection)
    return dbapi_connection


def _set_transaction_limits(engine: Engine, settings: Settings) -> None:
    """Give each transaction its limits."""
    limits = (
        f"SET LOCAL statement_timeout = '{settings.DB_STATEMENT_TIMEOUT_SECONDS}s'; "
        f"SET LOCAL lock_timeout = '{settings.DB_LOCK_TIMEOUT_SECONDS}s'; "
        "SET LOCAL idle_in_transaction_session_timeout = '30s'; "
        "SET LOCAL jit = off; "  # compiling a report's statement takes longer than running it
    )
    begin_write = f"BEGIN; {limits}"
    begin_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}"
    call_timeout_seconds = settings.DB_STATEMENT_TIMEOUT_SECONDS + CALL_GRACE_SECONDS

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        get_dbapi_connection(connection).begin_with(
            begin_write if writes else begin_read, call_timeout_seconds=call_timeout_seconds
        )

    event.listen(engine, "begin", begin)


def _terminate_backends(engine: Engine, arguments: dict[str, Any], ids: list[int]) -> None:
    """End what given up connections leave at the server: a session whose COMMIT waits for a standby waits on when its
    client is gone, and with enough of them nobody could connect any more. (Behind a pooler none is found.)"""
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
        "client_encoding": "utf8",  # whatever the database's own: what execute_later renders is decoded as such
        "application_name": APPLICATION_NAME,
    }


def _check_alive(dbapi_connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Let nobody have a connection that died in the pool: after a restart of PostgreSQL none of them is alive."""
    assert isinstance(dbapi_connection, BatchingConnection)
    if not dbapi_connection.is_alive():
        raise InvalidatePoolError


def _mark_idle(dbapi_connection: DBAPIConnection | None, _record: object) -> None:
    if isinstance(dbapi_connection, BatchingConnection):
        dbapi_connection.mark_idle()


def _invalidate_stale_connections(context: ExceptionContext) -> None:
    """What is out of date on one connection is so on all of them."""
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
    """Send a PostgreSQL transaction's limits, and what a statement wants sent first, in the same round trip as it.

    SET LOCAL, since PgBouncer refuses limits given as connection options.
    """
    queued_sql = cursor.connection.pop_queued().replace("%", "%%")
    if cursor.name is not None:
        cursor.withhold = True  # psycopg2 knows of no transaction; a cursor that is to outlive one needs none
    if queued_sql and (executemany or cursor.name is not None):  # a server-side cursor takes one statement only
        with cursor.connection.cursor() as plain_cursor:
            plain_cursor.execute(queued_sql, ())
        return statement, parameters
    options = context.execution_options if context is not None else {}
    if PREPARE in options:
        statement = cursor.connection.prepare(statement, parameters)
    return f"{queued_sql}{options.get(SEND_FIRST, '')}{statement}", parameters
