"""Commands on timesheets."""

import asyncio
from typing import Annotated

import typer

from app.cli.common import STATEMENT_TIMEOUT_SECONDS, CommandError, OperatorTransactions, ready_database
from app.core.config.settings import Settings
from app.core.mail import Mailer, create_mailer
from app.core.time.clock import utc_now
from app.services.timesheets import reminders

commands = typer.Typer()


@commands.command()
def remind(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the e-mails. Send none, and write nothing.")
    ] = False,
) -> None:
    """Send each user who has something to do an e-mail, once a day at most: open entries, entries to review, periods to
    submit, timesheets to decide on.

    Exit with 1 if an e-mail was not sent. The next run tries it again.
    """
    with ready_database(DB_STATEMENT_TIMEOUT_SECONDS=STATEMENT_TIMEOUT_SECONDS) as database:
        tx = OperatorTransactions(database, "cli:remind")
        if dry_run:
            typer.echo(f"To be sent: {asyncio.run(_print_all(tx))}.")
            return
        result = asyncio.run(reminders.send(tx, _mailer(database.settings), at=utc_now(), on_failure=_print_failure))
    typer.echo(f"Sent: {result.sent}.")
    if result.failed:
        typer.secho(f"Not sent: {result.failed}.", fg="red", err=True)
        raise typer.Exit(1)


async def _print_all(tx: OperatorTransactions) -> int:
    count = 0
    async for reminder in reminders.load(tx, at=utc_now()):
        typer.echo(f"To: {reminder.mail.to}\nSubject: {reminder.mail.subject}\n\n{reminder.mail.text}")
        count += 1
    return count


def _mailer(settings: Settings) -> Mailer:
    mailer = create_mailer(settings)
    if mailer is None:
        raise CommandError("SMTP_HOST is missing. Without it, no e-mail can be sent.")
    return mailer


def _print_failure(user_id: int, reason: str) -> None:
    typer.echo(f"User {user_id}: {reason}", err=True)
