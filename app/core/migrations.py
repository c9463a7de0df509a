"""The schema's revision: which one a database has, which one this code needs, and the way from one to the other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from alembic import command
from app.core.config import Settings
from app.core.db import Database
from app.core.postgresql import may_take

ROOT = Path(__file__).resolve().parents[2]
LOCKED_PAUSE_SECONDS = 0.02


class SchemaState(StrEnum):
    empty = "empty"
    current = "current"
    old = "old"
    foreign = "foreign"
    """Tables, but no revision that this code knows: somebody else's database, or one that a newer version migrated."""


class UnusableDatabase(Exception):
    """The service can't work on this database; the message is one line that says why."""


class ForeignDatabase(UnusableDatabase):
    """The database has tables that no migration of ours made. It is left untouched."""


class NotMigrated(UnusableDatabase):
    """The database isn't at the revision that this code needs."""


def _config() -> Config:
    return Config(ROOT / "alembic.ini")


@cache
def head_revision() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def schema_state(database: Database) -> SchemaState:
    """How far the database is. It only looks: our own connections would switch an SQLite file's journal to WAL."""
    if not database.settings.is_sqlite:
        with database.engine.connect() as connection:
            return _state(connection)
    with create_engine(database.settings.database_url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one snapshot: another process may be migrating
        return _state(connection)


def revisions_of(connection: Connection) -> set[str]:
    """The revisions a database has: one of ours, or none where no migration ever ran."""
    return set(MigrationContext.configure(connection).get_current_heads())


def _state(connection: Connection) -> SchemaState:
    found = revisions_of(connection)
    if found == {head_revision()}:
        return SchemaState.current
    ours = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found:
        return SchemaState.old if found <= ours else SchemaState.foreign
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return SchemaState.foreign if tables else SchemaState.empty


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database for a command or a start. Whatever the engine says against it becomes UnusableDatabase."""
    database = Database(settings)
    try:
        yield database
    except DBAPIError as error:
        said = str(error.orig).strip().partition("\n")[0]
        raise UnusableDatabase(f"The database of DB_URL can't be used: {said}") from error
    finally:
        database.close()


def make_ready(database: Database) -> None:
    """Migrate an SQLite file; hold PostgreSQL to the revision, since others may be serving from it.

    Raises ForeignDatabase, NotMigrated.
    """
    if database.settings.is_sqlite:
        migrate(database)
        return
    state = schema_state(database)
    _refuse_foreign(state)
    if state is not SchemaState.current:
        raise NotMigrated(f"The database's schema is {state}, not at {head_revision()}. Run: python -m app.cli migrate")


def migrate(database: Database) -> None:
    """Bring the database to the newest revision in one transaction. Raises ForeignDatabase, touching nothing.

    The revision is read again under the transaction's lock, so of several that start at once one migrates.
    """
    _refuse_foreign(schema_state(database))
    with _writer(database) as connection:
        if connection.dialect.name == "postgresql":
            may_take(connection, 0)
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7265747474)")
        config = _config()
        config.attributes |= {"connection": connection, "settings": database.settings}
        command.upgrade(config, "head")
        connection.commit()


def _writer(database: Database) -> Connection:
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
            time.sleep(LOCKED_PAUSE_SECONDS)


def _refuse_foreign(state: SchemaState) -> None:
    if state is SchemaState.foreign:
        raise ForeignDatabase(
            "The database has tables, but no revision that this version knows; nothing was changed. "
            "Point DB_URL at an empty database or at one of this service, or use the newer version that migrated it."
        )
