"""Runs migrations on the database of the settings, or on the connection passed by `app.core.database.migrations`.

Migrations read the keys from `context.config.attributes["keyring"]`, because the audit key is not in the database.
"""

from contextlib import closing

from alembic.util import CommandError
from sqlalchemy import Connection

from alembic import context
from app.core.config.settings import load_settings
from app.core.database.migrations import SchemaState, connect_for_alembic, detect_schema_state
from app.core.database.session import Database
from app.models.metadata import all_tables


def do_run_migrations(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=all_tables(),
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,  # on SQLite too, with our BEGIN: all migrations of a run are committed, or none
        transaction_per_migration=connection.dialect.name == "postgresql",  # requests wait for its locks
    )
    with context.begin_transaction():
        context.run_migrations()


given_connection = context.config.attributes.get("connection")
if given_connection is not None:
    do_run_migrations(given_connection)
elif context.is_offline_mode():  # --sql: print the SQL, for review and linters
    context.configure(dialect_name="postgresql", transactional_ddl=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with closing(Database(load_settings())) as database:
        context.config.attributes["keyring"] = database.keyring
        if detect_schema_state(database) is SchemaState.unknown:
            raise CommandError("The database has tables, but no revision that this version knows; nothing was changed.")
        with connect_for_alembic(database) as connection:
            do_run_migrations(connection)
