"""Inputs for tests of the commands: environments, error lines, and databases before the first start."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from typer.testing import Result

from app.core.config.settings import Settings
from tests.support.databases import SQLITE
from tests.support.postgresql import execute

Command = Callable[..., Result]


def clean_environment(**settings: str) -> dict[str, str]:
    """Return the environment of this machine with only the given settings of the service."""
    return {name: value for name, value in os.environ.items() if name not in Settings.model_fields} | settings


def error_line(result: Result) -> str:
    """Return the one error line of a failed command."""
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


@contextmanager
def empty_database(engine: str, folder: Path, server: URL, *, encoding: str = "UTF8") -> Iterator[str]:
    """Create a database without tables (on SQLite without a file), return its DB_URL, and drop it afterwards."""
    name = f"ett_{uuid.uuid4().hex}"
    if engine == SQLITE:
        yield f"sqlite:///{folder / name}.db"
        return
    execute(server, f"CREATE DATABASE \"{name}\" ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def create_unrelated_table(db_url: str) -> None:
    """Create a table that belongs to another program."""
    url = make_url(db_url)
    if not url.drivername.startswith(SQLITE):
        execute(url, "CREATE TABLE recipe (name text)")
        return
    assert url.database is not None
    with closing(sqlite3.connect(url.database)) as connection:
        connection.execute("CREATE TABLE recipe (name text)")
