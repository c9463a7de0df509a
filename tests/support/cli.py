"""What an operator has before the first start: an empty folder, an empty database, a database of somebody else."""

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
    """The machine's environment, with these settings of the service and no others."""
    return {name: value for name, value in os.environ.items() if name not in Settings.model_fields} | settings


def error_line(result: Result) -> str:
    """The one line with which a command refused."""
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


@contextmanager
def empty_database(engine: str, folder: Path, server: URL, *, encoding: str = "UTF8") -> Iterator[str]:
    """The DB_URL of a database in which nothing was ever made (on SQLite not even the file), gone afterwards."""
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
    """Make the empty database one that another program uses."""
    url = make_url(db_url)
    if not url.drivername.startswith(SQLITE):
        execute(url, "CREATE TABLE recipe (name text)")
        return
    assert url.database is not None
    with closing(sqlite3.connect(url.database)) as connection:
        connection.execute("CREATE TABLE recipe (name text)")
