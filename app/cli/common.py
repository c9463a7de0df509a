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
from app.core.config.settings import InvalidSettings, load_settings
from app.core.database.migrations import UnusableDatabase, ensure_schema, open_database
from app.core.database.postgresql.dump import ProgramFailed
from app.core.database.session import Database
from app.core.database.sqlite.backup import CopyFailed
from app.core.database.transactions import CallerService, P, T
from app.core.errors import DomainError
from app.core.observability.logging import first_line
from app.models.metadata import all_tables
from app.services.audit.verification import AuditChainBroken
from app.services.operations import demo
from app.services.operations.backup import RestoreRefused

UNFINISHED_PREFIX = ".unfinished-"
STATEMENT_TIMEOUT_SECONDS = 600  # for a statement over everything; nobody waits behind it


class CommandError(Exception):
    """The command was asked for something that it doesn't do."""


class OperatorTransactions:
    """The transactions of a command. Nobody is calling: an operator needs no account."""

    def __init__(self, database: Database, request_id: str) -> None:
        self._database, self._request_id = database, request_id

    async def read(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        with self._database.read_transaction(self._request_id) as session:
            return service(session, None, *args, **options)

    report = read

    async def write(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction."""
        with self._database.write_transaction(self._request_id) as session:
            return service(session, None, *args, **options)


REPORTED_ERRORS = (
    CommandError,
    InvalidSettings,
    UnusableDatabase,
    DomainError,
    AuditChainBroken,
    demo.DatabaseNotEmpty,
    DamagedArchive,
    CopyFailed,
    ProgramFailed,
    RestoreRefused,
    OSError,
)


@contextmanager
def report_errors() -> Iterator[None]:
    """What can't be done is one line on standard error and exit code 1."""
    try:
        yield
    except REPORTED_ERRORS as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    except DBAPIError as error:
        typer.secho(f"The database refused: {first_line(error)}", fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def ready_database(**overrides: object) -> Iterator[Database]:
    """The database of the settings, at the revision that this version needs."""
    with report_errors(), open_database(load_settings(**overrides)) as database:
        ensure_schema(database, all_tables())
        yield database


def parse_value(value_type: Any, text: str) -> Any:
    """The text as a value of the API's kind."""
    try:
        return TypeAdapter(value_type).validate_python(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise CommandError(f"{text!r}: {first['msg'].removeprefix('Value error, ')}") from None


@contextmanager
def write_atomically(target: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that has its name only once it is whole, also after a power cut.

    Until then it is a new one beside it, which nobody can have laid there and no other command writes.
    """
    descriptor, name = tempfile.mkstemp(prefix=UNFINISHED_PREFIX, dir=target.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
        _fsync_directory(target.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _fsync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def progress_bar() -> Progress:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)
