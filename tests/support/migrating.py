"""Any way through the revisions, in one transaction, as `app.core.migrations` goes to the newest."""

from alembic.config import Config
from sqlalchemy import Connection, text

from alembic import command
from app.core.db import Database
from app.core.migrations import ROOT


def alembic(database: Database, direction: str, revision: str) -> None:
    """`alembic(database, "downgrade", "base")`"""
    config = Config(ROOT / "alembic.ini")
    with writing(database) as connection:
        connection.execute(text("SELECT 1"))
        config.attributes |= {"connection": connection, "settings": database.settings}
        getattr(command, direction)(config, revision)
        connection.commit()


def writing(database: Database) -> Connection:
    return database.engine.execution_options(writes=True).connect()
