"""Bulk loading into a table without its indexes, constraints and triggers.

Their definitions are read from the database catalog, and used to create them again after the load. So nothing of the
schema is repeated here.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL

POSTGRESQL_OBJECTS = """
    SELECT conname, format('ALTER TABLE %%I DROP CONSTRAINT %%I', %(name)s::text, conname),
        format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', %(name)s::text, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = quote_ident(%(name)s)::regclass AND contype = 'x'
    UNION ALL
    SELECT indexname, format('DROP INDEX %%I', indexname), indexdef
    FROM pg_indexes
    WHERE tablename = %(name)s AND indexname NOT IN (
        SELECT conname FROM pg_constraint WHERE conrelid = quote_ident(%(name)s)::regclass
    )
"""
POSTGRESQL_TUNING = (
    "SET maintenance_work_mem = '2GB'",
    "SET work_mem = '256MB'",
    "SET synchronous_commit = off",
    "SET session_replication_role = replica",  # skips the foreign key check of each row
)
SQLITE_OBJECTS = """
    SELECT name, 'DROP ' || type || ' "' || name || '"', sql FROM sqlite_master
    WHERE tbl_name = :name AND type IN ('index', 'trigger') AND sql IS NOT NULL
"""
SQLITE_TUNING = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -500000",  # kibibytes
    "PRAGMA foreign_keys = OFF",
)


@dataclass(frozen=True)
class DroppedObject:
    """An index, constraint or trigger with the statements that drop and create it."""

    name: str
    drop: str
    create: str


@contextmanager
def without_constraints(url: URL, table: str) -> Iterator[Connection]:
    """Yield a connection for fast inserts into the table, then restore its indexes, constraints and triggers.

    Updates the planner statistics at the end. Prints the duration of each step to stderr.
    """
    engine = create_engine(url)
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        for statement in SQLITE_TUNING if is_sqlite else POSTGRESQL_TUNING:
            connection.exec_driver_sql(statement)
        query = SQLITE_OBJECTS if is_sqlite else POSTGRESQL_OBJECTS
        dropped_objects = [DroppedObject(*row) for row in connection.exec_driver_sql(query, {"name": table})]
        for dropped in dropped_objects:
            connection.exec_driver_sql(dropped.drop)
        with _log_duration(f"{engine.dialect.name}, {table}, rows"):
            yield connection
        for dropped in dropped_objects:
            with _log_duration(f"{engine.dialect.name}, {table}, {dropped.name}"):
                connection.exec_driver_sql(dropped.create)
        connection.commit()
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    if not is_sqlite:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
            connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()


def advance_sequences(connection: Connection, *tables: str) -> None:
    """Set the id sequences of the tables to their highest ids. Only PostgreSQL has sequences."""
    if connection.dialect.name == "sqlite":
        return
    for name in tables:
        connection.exec_driver_sql(
            f"""SELECT setval(pg_get_serial_sequence('"{name}"', 'id'), max(id)) FROM "{name}" """  # noqa: S608
        )


@contextmanager
def _log_duration(label: str) -> Iterator[None]:
    started_at = time.monotonic()
    yield
    if (seconds := time.monotonic() - started_at) >= 1:
        print(f"loading: {label} in {seconds:.1f} s", file=sys.stderr, flush=True)
