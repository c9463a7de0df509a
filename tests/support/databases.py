"""Migrated databases for tests: one template per engine, created once per run and cloned for each test."""

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from sqlalchemy.engine import URL, make_url

from app.core.config.settings import Settings
from app.core.database.migrations import migrate
from app.core.database.session import Database
from tests.support.postgresql import connect, execute

TEMPLATE = "ett_template"
SECRET_KEY = "test-key-with-enough-randomness-3f9a1c"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES = (SQLITE, POSTGRESQL)
NO_LIMIT = 1_000_000
"""REQUESTS_PER_MINUTE for tests that do not test the limit."""


def settings_for(db_url: str, **overrides: object) -> Settings:
    """Return test settings: nothing from the environment, a fixed key, and no effective rate limit."""
    defaults = {"SECRET_KEY": SECRET_KEY, "REQUESTS_PER_MINUTE": NO_LIMIT} | overrides
    return Settings(_env_file=None, DB_URL=db_url, **defaults)


def make_templates(server: URL, folder: Path) -> None:
    """Create and migrate the two template databases."""
    execute(server, f'DROP DATABASE IF EXISTS "{TEMPLATE}"')
    execute(server, f'CREATE DATABASE "{TEMPLATE}"')
    postgresql_url = server.set(database=TEMPLATE).render_as_string(hide_password=False)
    for db_url in (postgresql_url, f"sqlite:///{folder / TEMPLATE}.db"):
        database = Database(settings_for(db_url))
        migrate(database)
        database.close()


@contextmanager
def fresh_database(engine: str, folder: Path, server: URL, templates: Path) -> Iterator[str]:
    """Create an empty, migrated database, return its DB_URL, and drop it afterwards."""
    if engine == SQLITE:
        file = folder / f"{uuid.uuid4().hex}.db"
        shutil.copy(templates / f"{TEMPLATE}.db", file)
        yield f"sqlite:///{file}"
        return
    name = f"ett_{uuid.uuid4().hex}"
    _create(server, name)
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(server, name)


def empty_sqlite(db_url: str, templates: Path) -> bool:
    """Reset an SQLite file to the template while a service has it open. Returns False if that is impossible."""
    name = str(make_url(db_url).database)
    try:
        with (
            closing(sqlite3.connect(templates / f"{TEMPLATE}.db")) as template,
            closing(sqlite3.connect(name)) as target,
        ):
            template.backup(target)
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # some tests copy this file without its WAL
    except sqlite3.Error:
        return False
    return True


def _create(server: URL, name: str) -> None:
    # Copying files takes a third less time than the default, which writes the clone to the WAL.
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" STRATEGY FILE_COPY')


def _drop(server: URL, name: str) -> None:
    _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server: URL, statement: str) -> None:
    with _cached_connection(server).cursor() as cursor:
        cursor.execute(statement)


@cache
def _cached_connection(server: URL) -> Connection:
    """Return one connection for all tests of a process, because PostgreSQL starts a process for each connection."""
    return connect(server)
