"""Runs migrations on the database of the settings, or on the connection that `app.core.migrations` hands over."""

from sqlalchemy import Connection
from sqlmodel import SQLModel

from alembic import context
from app.core.config import load_settings
from app.core.db import Database
from app.models import audit_event, project, time_entry, user

TABLES = (audit_event.AuditEvent, project.Project, time_entry.TimeEntry, user.User)  # importing them fills the metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=False,  # Instant is another type on each engine; tests/migrations compares the schemas' objects
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    database = Database(load_settings())
    with database.engine.execution_options(writes=True).connect() as connection:
        run(connection)
        connection.commit()
    database.close()
