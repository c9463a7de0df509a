"""Commands that prepare the database: migrate and demo."""

from typing import Annotated

import typer

from app.cli.common import CommandError, progress_bar, ready_database, report_errors
from app.core.config.settings import load_settings
from app.core.database.migrations import head_revision, migrate, open_database
from app.core.database.postgresql.online_migration import TOTAL_WAIT_SECONDS
from app.core.security.passwords import hash_password, strength_problem
from app.core.time.clock import utc_now
from app.services.operations import demo
from app.services.projects.errors import ProjectNameTaken
from app.services.users.errors import EmailTaken

commands = typer.Typer()


@commands.command("migrate")
def migrate_command(
    lock_timeout: Annotated[
        int,
        typer.Option(help="Seconds to wait for PostgreSQL locks; then the command fails.", min=1, max=86400),
    ] = TOTAL_WAIT_SECONDS,
) -> None:
    """Migrate the database to this version's revision. The previous version can keep running meanwhile."""
    with report_errors(), open_database(load_settings()) as database:
        migrate(database, total_wait_seconds=lock_timeout, report=lambda line: typer.echo(line, err=True))
    typer.echo(f"{database.settings.redacted_database_url} is at revision {head_revision()}.")


@commands.command("demo")
def demo_command(
    force: Annotated[bool, typer.Option("--force", help="Add the company even if the database has users.")] = False,
    password: Annotated[
        str, typer.Option(help="Password of all users of the company; the default is a phrase.")
    ] = demo.PASSWORD,
) -> None:
    """Fill the database with a demo company: 3 teams, 30 users, 90 days of entries, and timesheets of two months.

    If it has no timesheet rule, a month becomes the period of all users.
    """
    with ready_database(create=True) as database, progress_bar() as progress:
        if reason := strength_problem(password):
            raise CommandError(f"--password: {reason}")
        if password == demo.PASSWORD and database.settings.is_exposed:
            raise CommandError("--password is required, because this service is exposed and the default is published.")
        task = progress.add_task("Users and their entries", visible=False)
        try:
            with database.write_transaction("cli:demo") as session:
                company = demo.build(
                    session,
                    password_hash=hash_password(password),
                    force=force,
                    at=utc_now(),
                    on_progress=lambda done, total: progress.update(task, completed=done, total=total, visible=True),
                )
        except (EmailTaken, ProjectNameTaken):
            raise CommandError(
                "The database already has the demo company, or a user or project of it. Nothing was added."
            ) from None
    typer.echo(f"Created {company.users} users and {company.entries} entries. Everybody's password is {password!r}.")
    typer.echo(f"Manager of the three managers: {company.boss_email}")
    typer.echo(f"Manager of a team: {company.manager_email}")
    typer.echo(f"Employee in that team: {company.employee_email}")
    for sentence in company.timesheets:
        typer.echo(f"Timesheet of {sentence}")
