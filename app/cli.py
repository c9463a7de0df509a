"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from app.core.clock import utc_now
from app.core.config import BadSettings, load_settings
from app.core.db import Database
from app.core.errors import DomainError
from app.core.migrations import ForeignDatabase, head_revision, migrate
from app.core.passwords import hash_password
from app.main import create_app
from app.models.user import Role
from app.schemas.user import UserCreate
from app.services import demo, users

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Commands for operators.", pretty_exceptions_enable=False
)
_console = Console()
_errors = Console(stderr=True)


@contextmanager
def _database() -> Iterator[Database]:
    """The database of the settings; what goes wrong with it is one line and exit code 1."""
    try:
        database = Database(load_settings())
        try:
            yield database
        finally:
            database.close()
    except (BadSettings, ForeignDatabase, DomainError, demo.NotEmpty) as error:
        _errors.print(f"[red]{error}", highlight=False)
        raise typer.Exit(1) from None


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database to the revision this version needs."""
    with _database() as database:
        migrate(database)
    _console.print(f"The database is at {head_revision()}.", highlight=False)


@app.command()
def create_admin(
    email: str,
    first_name: Annotated[str, typer.Option()] = "First",
    last_name: Annotated[str, typer.Option()] = "Admin",
) -> None:
    """Add an admin. The password is asked for, or read from standard input where that is not a terminal."""
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if sys.stdin.isatty() else _piped()
    try:
        wanted = UserCreate(email=email, first_name=first_name, last_name=last_name, password=password, role=Role.admin)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        _errors.print(f"[red]{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}", highlight=False)
        raise typer.Exit(1) from None
    with _database() as database, database.writing("cli:create-admin") as session:
        admin = users.create(session, None, wanted, password_hash=hash_password(password), at=utc_now())
    _console.print(f"Created admin {admin.email} with id {admin.id}.", highlight=False)


@app.command("demo")
def demo_command(
    force: Annotated[bool, typer.Option("--force", help="Also where there are people already.")] = False,
    password: Annotated[str, typer.Option(help="Everybody's password.")] = demo.PASSWORD,
) -> None:
    """Fill the database with a believable company: 3 teams, 30 people, 90 days of entries."""
    with _database() as database, Progress(console=_console) as progress:
        task = progress.add_task("People and their days", total=None)
        with database.writing("cli:demo") as session:
            company = demo.build(
                session,
                password_hash=hash_password(password),
                force=force,
                at=utc_now(),
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    _console.print(
        f"{company.people} people, {company.entries} entries. Log in as {company.boss_email}, "
        f"{company.manager_email} or {company.employee_email} with the password {password!r}.",
        highlight=False,
    )


@app.command()
def openapi(
    target: Annotated[Path | None, typer.Argument(help="File to write; standard output if left out.")] = None,
) -> None:
    """Write the OpenAPI document."""
    document = json.dumps(create_app(load_settings()).openapi(), indent=2)
    if target is None:
        print(document)
    else:
        target.write_text(f"{document}\n")


def _piped() -> str:
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    app()
