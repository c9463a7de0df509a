"""The schema revision of a database: its detection, its check at the start, and the migration to another revision."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import cache, partial
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, create_engine, inspect
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from alembic import command
from app.core.config.settings import Environment, Settings
from app.core.database.postgresql import online_migration
from app.core.database.session import Database
from app.core.database.sqlite.engine import check_file
from app.core.database.sqlite.operations import SQLiteOperations
from app.core.security.keyring import Keyring

ROOT = Path(__file__).resolve().parents[3]
_WHEEL_SCRIPTS = Path(__file__).with_name("migration_scripts")
"""The migrations in an installed wheel, which setup.py copies there. In the repository they are in ROOT."""
LOCK_RETRY_SECONDS = 0.02


class SchemaState(StrEnum):
    empty = "empty"
    current = "current"
    old = "old"
    unknown = "unknown"
    """Tables without a revision that this code knows: another application's database, or one migrated by a newer
    version."""


class UnusableDatabase(Exception):
    """The service can't use this database. The message is one line with the reason."""


class UnknownSchema(UnusableDatabase):
    """The database has tables but no known revision. Nothing was changed."""


class NotMigrated(UnusableDatabase):
    """The database is not at the revision that this code requires."""


def _alembic_config() -> Config:
    folder = _WHEEL_SCRIPTS if _WHEEL_SCRIPTS.exists() else ROOT
    return Config(folder / "alembic.ini")


@cache
def head_revision() -> str:
    """Return the revision that this code requires."""
    head = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    assert head is not None
    return head


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions())


def is_known_revision(revision: str) -> bool:
    """Return True if this code contains the migration to this revision."""
    return revision in _known_revisions()


def detect_schema_state(database: Database) -> SchemaState:
    """Return the state of the database's schema: empty, current, old or unknown."""
    with inspect_connection(database) as connection:
        return _detect_state(connection)


def is_compatible_with_newer_schema(database: Database, metadata: MetaData) -> bool:
    """Return True if this code can use a schema that a newer version migrated.

    Every table and column of this code must exist, and every added column must be nullable or have a default.
    """
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
    """Open a connection for inspection. On SQLite it bypasses the engine, which would switch the journal to WAL."""
    if not database.settings.is_sqlite:
        with database.engine.connect() as connection:
            yield connection
        return
    check_file(database.settings)
    with create_engine(database.settings.database_url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one snapshot: another process may be migrating
        yield connection


def current_revisions(connection: Connection) -> set[str]:
    """Return the revisions of a database: usually one, and none if no migration ever ran."""
    return set(MigrationContext.configure(connection).get_current_heads())


def is_behind_head(revisions: set[str]) -> bool:
    """Return True if a database at these revisions must be migrated for this code: no revision, or an earlier one.

    An unknown revision belongs to a newer version. Its schema stays compatible with this code during a rolling upgrade.
    """
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
    """Open the database for a command or a start, and close it afterwards.

    Raises UnusableDatabase for any error of the database.
    """
    database = Database(settings)
    try:
        yield database
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise UnusableDatabase(
            f"The database of DB_URL can't be used: {reason} ({settings.redacted_database_url})"
        ) from error
    finally:
        database.close()


def ensure_schema(database: Database, metadata: MetaData) -> None:
    """Migrate an SQLite file. On PostgreSQL, only check the revision because other processes may be using the database.

    In production no SQLite file is created. Otherwise an empty database would replace a lost one without notice.

    A compatible schema of a newer version is accepted, so that a worker process can restart during a rolling upgrade.
    Only `migrate` always rejects it.

    Raises UnknownSchema, NotMigrated.
    """
    state = detect_schema_state(database)
    if state is SchemaState.unknown and is_compatible_with_newer_schema(database, metadata):
        return
    if database.settings.is_sqlite:
        if state is SchemaState.empty and database.settings.ENVIRONMENT is Environment.production:
            raise NotMigrated(
                f"The SQLite file of DB_URL, {database.settings.database_file}, has no tables. If this is the first "
                "start, run: python -m app.cli migrate. Else the file was deleted or DB_URL is wrong."
            )
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
    """Migrate the database to a revision, by default the newest.

    SQLite runs all migrations in one transaction. PostgreSQL runs each in its own, so that locks are held for one
    migration only. Several processes may call this at once: each waits, reads the revision again, and one migrates.

    Raises UnknownSchema before any change, MigrationBlocked, and UnusableDatabase if a migration rejects the rows.
    """
    _reject_unknown_schema(detect_schema_state(database))
    upgrade = partial(_upgrade, keyring=database.keyring, revision=revision)

    if not database.settings.is_sqlite:
        url = database.settings.database_url
        online_migration.upgrade_with_lock_retries(url, upgrade, total_wait_seconds=total_wait_seconds, report=report)
        return
    with connect_for_alembic(database) as connection:
        upgrade(connection)


def create_sqlite_schema(keyring: Keyring, revision: str) -> dict[str, str]:
    """Migrate a new SQLite database in memory, and return its objects as `Session.read_schema_objects` does."""
    with create_engine("sqlite://").connect() as connection:
        _upgrade(connection, keyring, revision)
        return SQLiteOperations().read_schema_objects(connection, frozenset())


def _upgrade(connection: Connection, keyring: Keyring, revision: str) -> None:
    config = _alembic_config()
    config.attributes |= {"connection": connection, "keyring": keyring}
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise UnusableDatabase(str(error)) from error


def connect_for_alembic(database: Database) -> AbstractContextManager[Connection]:
    """Return a connection for Alembic, which begins and ends its transactions."""
    settings = database.settings
    return _connect_writer(database) if settings.is_sqlite else online_migration.connect(settings.database_url)


def _connect_writer(database: Database) -> Connection:
    """Return a connection for a write transaction.

    Switching a new SQLite file to WAL ignores the busy timeout. It is therefore retried when several processes start at
    once.
    """
    writer = database.engine.execution_options(writes=True, migrates=True)
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
            "Set DB_URL to an empty database or to one of this service, or use the newer version that migrated it."
        )
