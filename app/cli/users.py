"""Commands on users."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app.cli.common import (
    CommandError,
    OperatorTransactions,
    progress_bar,
    ready_database,
    report_errors,
    run_in_write_transaction,
)
from app.core.security.passwords import PasswordHasher, WeakPassword
from app.core.time.clock import utc_now
from app.models.users import Role
from app.schemas.types import MAX_ID
from app.schemas.users.user import UserCreate
from app.services.auth import passwords
from app.services.users import administration, csv_import, personal_data
from app.services.users.csv_cells import MAX_FILE_BYTES
from app.services.users.errors import ImportRefused

commands = typer.Typer()


@commands.command()
def create_admin(
    email: str,
    first_name: Annotated[str, typer.Option(help="First name.")] = "First",
    last_name: Annotated[str, typer.Option(help="Last name.")] = "Admin",
) -> None:
    """Create an admin. The password is prompted for, or read from standard input if that is not a terminal."""
    password = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        if sys.stdin.isatty()
        else _read_password_line()
    )
    with ready_database(create=True) as database:
        try:
            data = UserCreate(
                email=email, first_name=first_name, last_name=last_name, password=password, role=Role.admin
            )
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise CommandError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
        tx = OperatorTransactions(database, "cli:create-admin")
        try:
            admin = asyncio.run(administration.add_user(tx, PasswordHasher(), data, at=utc_now()))
        except WeakPassword as error:
            raise CommandError(f"password: {error}") from None
    typer.echo(f"Created admin {admin.email} with id {admin.id}.")


@commands.command()
def import_users(
    file: Annotated[Path, typer.Argument(help="CSV file in UTF-8. Its header names the columns.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file without importing it.")] = False,
) -> None:
    """Import all users of a CSV file, without passwords. If the file has errors, print them and import no user."""
    with report_errors(), file.open("rb") as opened_file:
        content = opened_file.read(MAX_FILE_BYTES + 1)
    with ready_database(create=True) as database, progress_bar() as progress:
        task = progress.add_task("Users", total=None)
        tx = OperatorTransactions(database, "cli:import-users")

        def update_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        with _print_row_errors():
            result = asyncio.run(
                csv_import.import_people(tx, content, dry_run=dry_run, at=utc_now(), on_progress=update_progress)
            )
    typer.echo(f"{result.users} users {'can be imported' if dry_run else 'imported'}.")


@commands.command()
def erase_user(
    user_id: Annotated[int, typer.Argument(help="The user's id.", min=1, max=MAX_ID)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Replace a deactivated user's name and e-mail by a pseudonym. This cannot be undone.

    RETENTION_DAYS must have passed since the user's last entry.
    """
    with ready_database() as database:
        if not yes and not typer.confirm(f"Erase the name and e-mail of user {user_id} permanently?", err=True):
            raise CommandError("Nothing was erased.")
        pseudonym = run_in_write_transaction(
            database, "cli:erase-user", lambda session: personal_data.erase(session, user_id, at=utc_now())
        )
    typer.echo(f"User {user_id} is now {pseudonym}. Older backups still contain the name.")


@commands.command()
def create_password_link(user_id: Annotated[int, typer.Argument(help="The user's id.", min=1, max=MAX_ID)]) -> None:
    """Create a link with which a user sets their password, and print it. No e-mail is sent.

    The new password unlocks a second factor that wrong codes have locked.
    """
    with ready_database() as database, database.write_transaction("cli:create-password-link") as session:
        link = passwords.create_link(session, None, user_id, at=utc_now())
    typer.echo(link.page_url or f"Token for POST /api/v1/auth/password/set: {link.token}")
    typer.echo(f"It works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC.")


@contextmanager
def _print_row_errors() -> Iterator[None]:
    """Print the errors of a file on standard error, one per line, before the final error."""
    try:
        yield
    except ImportRefused as error:
        for row_error in error.extensions["errors"]:
            (what, line), column = row_error["loc"][:2], row_error["loc"][2:]
            typer.echo(f"{', '.join([f'{what} {line}', *column])}: {row_error['message']}", err=True)
        raise


def _read_password_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")
