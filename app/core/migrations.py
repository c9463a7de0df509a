"""The schema's revision: which one a database has, which one this code needs, and the way from one to the other."""

from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from alembic import command
from app.core.db import Database

ROOT = Path(__file__).resolve().parents[2]


class SchemaState(StrEnum):
    empty = "empty"
    current = "current"
    old = "old"
    foreign = "foreign"
    """Tables but no revision of ours: somebody else's database, to be left untouched."""


class ForeignDatabase(Exception):
    """The database has tables that no migration of ours made."""


def _config() -> Config:
    return Config(ROOT / "alembic.ini")


@cache
def head_revision() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def revision_of(database: Database) -> str | None:
    """The revision the database has; None where no migration of ours ever ran."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def schema_state(database: Database) -> SchemaState:
    revision = revision_of(database)
    if revision is not None:
        return SchemaState.current if revision == head_revision() else SchemaState.old
    with database.engine.connect() as connection:
        return SchemaState.foreign if inspect(connection).get_table_names() else SchemaState.empty


def migrate(database: Database) -> None:
    """Bring the database to the newest revision in one transaction. Raises ForeignDatabase, touching nothing.

    The state is read again under the transaction's lock, so of several workers that start at once one migrates.
    """
    with database.engine.execution_options(writes=True).connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265747474)")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        revision = MigrationContext.configure(connection).get_current_revision()
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if revision is None and tables:
            raise ForeignDatabase(
                "The database has tables but no revision of this service; nothing was changed. "
                "Point DB_URL at an empty database, or restore a backup of this service."
            )
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
