"""Migrated databases for tests: one template per engine, made once a run, cloned for each test."""

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
"""REQUESTS_PER_MINUTE of a test that is not about it."""


def settings_for(db_url: str, **overrides: object) -> Settings:
    """Settings of a test: nothing of the machine's environment, a key of its own, any number of requests."""
    defaults = {"SECRET_KEY": SECRET_KEY, "REQUESTS_PER_MINUTE": NO_LIMIT} | overrides
    return Settings(_env_file=None, DB_URL=db_url, **defaults)


def make_templates(server: URL, folder: Path) -> None:
    """Migrate the two templates that every test's database is a copy of."""
    execute(server, f'DROP DATABASE IF EXISTS "{TEMPLATE}"')
    execute(server, f'CREATE DATABASE "{TEMPLATE}"')
    postgresql_url = server.set(database=TEMPLATE).render_as_string(hide_password=False)
    for db_url in (postgresql_url, f"sqlite:///{folder / TEMPLATE}.db"):
        database = Database(settings_for(db_url))
        migrate(database)
        database.close()


@contextmanager
def fresh_database(engine: str, folder: Path, server: URL, templates: Path) -> Iterator[str]:
    """The DB_URL of an empty, migrated database, gone afterwards."""
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
    """Let an SQLite file be as it was when it was fresh, while a service has it open. False where that can't be."""
    name = str(make_url(db_url).database)
    try:
        with (
            closing(sqlite3.connect(templates / f"{TEMPLATE}.db")) as template,
            closing(sqlite3.connect(name)) as target,
        ):
            template.backup(target)
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # some tests copy the file alone
    except sqlite3.Error:
        return False
    return True


def _create(server: URL, name: str) -> None:
    # Copying files takes a third less than writing the copy to the log, which is what happens unless told otherwise.
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" STRATEGY FILE_COPY')


def _drop(server: URL, name: str) -> None:
    _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server: URL, statement: str) -> None:
    with _cached_connection(server).cursor() as cursor:
        cursor.execute(statement)


@cache
def _cached_connection(server: URL) -> Connection:
    """One for all of a process's tests: PostgreSQL starts a process for each."""
    return connect(server)
