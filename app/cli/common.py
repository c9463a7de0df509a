"""What the commands share: the database they work on, how they refuse, and how they write files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.core.archive import DamagedArchive
from app.core.config.settings import BadSettings, load_settings
from app.core.database.migrations import UnusableDatabase, make_ready, opened
from app.core.database.postgresql.dump import ProgramFailed
from app.core.database.session import Database
from app.core.database.sqlite.backup import NotCopied
from app.core.database.transactions import CallerService, P, T
from app.core.errors import DomainError
from app.core.observability.logging import first_line
from app.models.metadata import all_tables
from app.services.audit.verification import BrokenRecord
from app.services.operations import demo
from app.services.operations.backup import RestoreRefused

UNFINISHED = ".unfinished-"
STATEMENT_SECONDS = 600  # for a statement over everything; nobody waits behind it


class Refused(Exception):
    """The command was asked for something that it doesn't do."""


class OperatorTransactions:
    """The transactions of a command. Nobody is calling: an operator needs no account."""

    def __init__(self, database: Database, request_id: str) -> None:
        self._database, self._request_id = database, request_id

    async def read(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        with self._database.reading(self._request_id) as session:
            return service(session, None, *args, **options)

    report = read

    async def write(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction."""
        with self._database.writing(self._request_id) as session:
            return service(session, None, *args, **options)


REFUSALS = (
    Refused,
    BadSettings,
    UnusableDatabase,
    DomainError,
    BrokenRecord,
    demo.NotEmpty,
    DamagedArchive,
    NotCopied,
    ProgramFailed,
    RestoreRefused,
    OSError,
)


@contextmanager
def refusals() -> Iterator[None]:
    """What can't be done is one line on standard error and exit code 1."""
    try:
        yield
    except REFUSALS as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    except DBAPIError as error:
        typer.secho(f"The database refused: {first_line(error)}", fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def ready_database(**overrides: object) -> Iterator[Database]:
    """The database of the settings, at the revision that this version needs."""
    with refusals(), opened(load_settings(**overrides)) as database:
        make_ready(database, all_tables())
        yield database


def valid(kind: Any, text: str) -> Any:
    """The text as a value of the API's kind."""
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Refused(f"{text!r}: {first['msg'].removeprefix('Value error, ')}") from None


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that has its name only once it is whole, also after a power cut.

    Until then it is a new one beside it, which nobody can have laid there and no other command writes.
    """
    descriptor, name = tempfile.mkstemp(prefix=UNFINISHED, dir=target.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
        _settle(target.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def progress_bar() -> Progress:
    """A bar on standard error, where that is a terminal."""
    on_terminal = Console(stderr=True)
    return Progress(console=on_terminal, disable=not on_terminal.is_terminal)
