"""Upgrade or downgrade a database to any revision, in the way that `app.core.database.migrations` upgrades to head."""

from alembic.config import Config
from sqlalchemy import Connection

from alembic import command
from app.core.database.migrations import ROOT, connect_for_alembic
from app.core.database.session import Database


def run_alembic(database: Database, direction: str, revision: str) -> None:
    """`run_alembic(database, "downgrade", "base")`"""
    config = Config(ROOT / "alembic.ini")
    with connect_for_alembic(database) as connection:
        config.attributes |= {"connection": connection, "keyring": database.keyring}
        getattr(command, direction)(config, revision)


def connect_for_writing(database: Database) -> Connection:
    return database.engine.execution_options(writes=True).connect()
