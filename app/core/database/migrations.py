"""The schema's revision: which one a database has, which one this code needs, and the way from one to the other."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, inspect
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from alembic import command
from app.core.config.settings import Settings
from app.core.database.postgresql import online_migration
from app.core.database.session import Database

ROOT = Path(__file__).resolve().parents[3]
LOCK_RETRY_SECONDS = 0.02


class SchemaState(StrEnum):
    empty = "empty"
    current = "current"
    old = "old"
    unknown = "unknown"
    """Tables, but no revision that this code knows: somebody else's database, or one that a newer version migrated."""


class UnusableDatabase(Exception):
    """The service can't work on this database; the message is one line that says why."""


class UnknownSchema(UnusableDatabase):
    """The database has tables that no migration of ours made. It is left untouched."""


class NotMigrated(UnusableDatabase):
    """The database isn't at the revision that this code needs."""


def _alembic_config() -> Config:
    return Config(ROOT / "alembic.ini")


@cache
def head_revision() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    assert head is not None
    return head


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions())


def is_known_revision(revision: str) -> bool:
    """Whether a migration of ours makes this revision."""
    return revision in _known_revisions()


def detect_schema_state(database: Database) -> SchemaState:
    """How far the database is."""
    with inspect_connection(database) as connection:
        return _detect_state(connection)


def is_compatible_with_newer_schema(database: Database, metadata: MetaData) -> bool:
    """Whether this code can work on a schema that a newer version migrated: the database has every table and column
    that is needed, and asks for no value that this code doesn't know of. Of somebody else's database neither is so."""
    with inspect_connection(database) as connection:
        tables = inspect(connection).get_multi_columns()
    for table in metadata.sorted_tables:
        columns = {column["name"]: column for column in tables.get((None, table.name), [])}
        added = [column for name, column in columns.items() if name not in table.columns]
        if not columns.keys() >= set(table.columns.keys()):
            return False
        if any(not column["nullable"] and column["default"] is None for column in added):
            return False
    return True


@contextmanager
def inspect_connection(database: Database) -> Iterator[Connection]:
    """A connection that only looks: our own ones would switch an SQLite file's journal to WAL."""
    if not database.settings.is_sqlite:
        with database.engine.connect() as connection:
            yield connection
        return
    with create_engine(database.settings.database_url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one snapshot: another process may be migrating
        yield connection


def current_revisions(connection: Connection) -> set[str]:
    """The revisions a database has: one of ours, or none where no migration ever ran."""
    return set(MigrationContext.configure(connection).get_current_heads())


def is_behind_head(revisions: set[str]) -> bool:
    """Whether a database at these revisions lacks what this code needs: it has none, or an earlier one. One that this
    code doesn't know is of a newer version, which leaves what this one needs until the next (a rolling upgrade)."""
    return revisions != {head_revision()} and revisions <= _known_revisions()


def _detect_state(connection: Connection) -> SchemaState:
    revisions = current_revisions(connection)
    if revisions == {head_revision()}:
        return SchemaState.current
    if revisions:
        return SchemaState.old if is_behind_head(revisions) else SchemaState.unknown
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return SchemaState.unknown if tables else SchemaState.empty


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database for a command or a start. Whatever the engine says against it becomes UnusableDatabase."""
    database = Database(settings)
    try:
        yield database
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise UnusableDatabase(f"The database of DB_URL can't be used: {reason}") from error
    finally:
        database.close()


def ensure_schema(database: Database, metadata: MetaData) -> None:
    """Migrate an SQLite file; hold PostgreSQL to the revision, since others may be serving from it.

    A schema that a newer version migrated is used as it is, where this code can: else a worker that
    is restarted in the midst of a rolling upgrade wouldn't come back. Only `migrate` refuses it always.

    Raises UnknownSchema, NotMigrated.
    """
    state = detect_schema_state(database)
    if state is SchemaState.unknown and is_compatible_with_newer_schema(database, metadata):
        return
    if database.settings.is_sqlite:
        migrate(database)
        return
    _reject_unknown_schema(state)
    if state is not SchemaState.current:
        raise NotMigrated(f"The database's schema is {state}, not at {head_revision()}. Run: python -m app.cli migrate")


def migrate(
    database: Database,
    revision: str = "head",
    *,
    total_wait_seconds: float = online_migration.TOTAL_WAIT_SECONDS,
    report: online_migration.Report = print,
) -> None:
    """Bring the database to a revision, the newest by default. Raises UnknownSchema, touching nothing, and
    MigrationBlocked.

    An SQLite file gets there in one transaction; PostgreSQL in one for each migration, so that no lock is held longer
    than its own. The revision is read again behind others who migrate, so of several that start at once one does.
    """
    _reject_unknown_schema(detect_schema_state(database))

    def upgrade(connection: Connection) -> None:
        config = _alembic_config()
        config.attributes |= {"connection": connection, "keyring": database.keyring}
        command.upgrade(config, revision)

    if not database.settings.is_sqlite:
        url = database.settings.database_url
        online_migration.upgrade_with_lock_retries(url, upgrade, total_wait_seconds=total_wait_seconds, report=report)
        return
    with connect_for_alembic(database) as connection:
        upgrade(connection)


def connect_for_alembic(database: Database) -> AbstractContextManager[Connection]:
    """A connection for alembic, which opens and ends the transactions on it."""
    settings = database.settings
    return _connect_writer(database) if settings.is_sqlite else online_migration.connect(settings.database_url)


def _connect_writer(database: Database) -> Connection:
    """A connection for a writing transaction.

    Switching a new SQLite file's journal to WAL doesn't wait for others who look at it, as everything else does; so
    where several start at once it is tried again.
    """
    writer = database.engine.execution_options(writes=True)
    deadline = time.monotonic() + database.settings.DB_LOCK_TIMEOUT_SECONDS
    while True:
        try:
            return writer.connect()
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
            time.sleep(LOCK_RETRY_SECONDS)


def _reject_unknown_schema(state: SchemaState) -> None:
    if state is SchemaState.unknown:
        raise UnknownSchema(
            "The database has tables, but no revision that this version knows; nothing was changed. "
            "Point DB_URL at an empty database or at one of this service, or use the newer version that migrated it."
        )
