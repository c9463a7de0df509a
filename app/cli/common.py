"""Shared parts of the commands: the database, error messages, progress bars, and the files that they write."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.core.archive import DamagedArchive
from app.core.config.settings import InvalidSettings, Settings, load_settings
from app.core.database.migrations import UnusableDatabase, ensure_schema, open_database
from app.core.database.postgresql.dump import ProgramFailed
from app.core.database.retry import run_with_retry
from app.core.database.session import Database, Session
from app.core.database.sqlite.backup import CopyFailed
from app.core.database.transactions import CallerService, P, T
from app.core.errors import DomainError
from app.core.observability.logging import first_line
from app.models.metadata import all_tables
from app.services.audit.keys import check_newest_keys
from app.services.audit.stored_rows import AuditChainBroken
from app.services.operations import demo
from app.services.operations.backup import RestoreRefused

_Result = TypeVar("_Result")
STANDARD_OUTPUT = Path("-")
UNFINISHED_PREFIX = ".unfinished-"
STATEMENT_TIMEOUT_SECONDS = 600  # for statements that read whole tables; they block no requests


Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]


class CommandError(Exception):
    """The command cannot be run with these arguments. The message says why."""


class OperatorTransactions:
    """Transactions of a command. The actor is None, because an operator needs no account."""

    def __init__(self, database: Database, request_id: str) -> None:
        self._database, self._request_id = database, request_id

    async def read(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        with self._database.read_transaction(self._request_id) as session:
            return service(session, None, *args, **options)

    report = read

    async def write(self, service: CallerService[None, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction."""
        return run_in_write_transaction(
            self._database, self._request_id, lambda session: service(session, None, *args, **options)
        )


def run_in_write_transaction(database: Database, request_id: str, work: Callable[[Session], _Result]) -> _Result:
    """Run the work in a writing transaction, which is retried like that of a request."""

    def write_once() -> _Result:
        with database.write_transaction(request_id) as session:
            return work(session)

    return run_with_retry(write_once, lock_wait_seconds=database.settings.DB_LOCK_TIMEOUT_SECONDS)


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
    """Print an expected error as one line on standard error, and exit with code 1."""
    try:
        yield
    except REPORTED_ERRORS as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    except DBAPIError as error:
        typer.secho(f"Database error: {first_line(error)}", fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def ready_database(*, create: bool = False, **overrides: object) -> Iterator[Database]:
    """Open the database of the settings, and ensure that it is at this version's revision. SQLite is migrated.

    A missing SQLite file is an error, unless `create` is true. Afterwards the database is named on standard error,
    because in another working directory it may be another one.
    """
    with report_errors():
        settings = load_settings(**overrides)
        if not create:
            require_database_file(settings)
        with open_database(settings) as database:
            ensure_schema(database, all_tables())
            with database.read_transaction("cli:check-keys") as session:
                if warning := check_newest_keys(session):
                    typer.echo(f"WARNING: {warning}", err=True)
            yield database
        typer.echo(f"Database: {settings.redacted_database_url}", err=True)


def require_database_file(settings: Settings) -> None:
    """Raise CommandError if the SQLite file of the settings is missing or empty, as in a wrong working directory."""
    file = settings.database_file
    if file is not None and not (file.exists() and file.stat().st_size):
        raise CommandError(f"There is no database {file}. Set DB_URL, or change to the folder of the service.")


def parse_value(value_type: Any, text: str) -> Any:
    """Parse the text as a type of the API. Raises CommandError."""
    try:
        return TypeAdapter(value_type).validate_python(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise CommandError(f"{text!r}: {first['msg'].removeprefix('Value error, ')}") from None


def require_writable(target: Path, *, force: bool) -> None:
    """Raise CommandError if the file cannot be written, or if it exists and `force` is false.

    Call this before the command has any effect. A device is no file: a new file would take its place.
    """
    if target == STANDARD_OUTPUT:
        return
    if not target.parent.is_dir():
        raise CommandError(f"There is no folder {target.parent}. Create it, or choose another one.")
    if target.exists() and not target.is_file():
        raise CommandError(f"{target} is not a file. Choose another name.")
    if target.exists() and not force:
        raise CommandError(f"{target} already exists. Choose another name, or use --force.")


@contextmanager
def open_output(target: Path) -> Iterator[BinaryIO]:
    """Open a file that is written atomically, or standard output for the name `-`. Afterwards, print its name."""
    if target == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with write_atomically(target) as file:
        yield file
    typer.echo(f"Wrote {target}.")


@contextmanager
def write_atomically(target: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only when it is complete, even after a power failure.

    Only its owner can read it. Until it is complete, it has a random name in the same folder.
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
    """Return a progress bar on standard error, disabled if that is not a terminal."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)
