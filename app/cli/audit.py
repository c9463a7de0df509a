"""Commands on the audit log."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import STATEMENT_TIMEOUT_SECONDS, CommandError, progress_bar, ready_database
from app.core.time.clock import utc_now
from app.models.metadata import own_tables
from app.services.audit import baseline, verification
from app.services.audit.reconciliation import Reconciliation
from app.services.operations.schema_check import find_differences, find_missing_rows, find_unknown_wording
from app.services.timesheets import verification as timesheet_verification

commands = typer.Typer()
BASELINE_REQUEST_ID = "cli:audit-baseline"


@commands.command()
def verify_audit(
    checkpoint: Annotated[
        Path | None, typer.Option(help="File with lines from audit-checkpoint, to compare the chains with.")
    ] = None,
) -> None:
    """Verify the audit log, and compare the rows with it (docs/security.md names the tables).

    Exit with 1 after printing the first broken or missing link, or what was added, changed or deleted without an event.
    A trigger, rule, policy or view that somebody added counts too, and a guard that is missing. So does a row
    that is missing from an index, a pair of entries that overlap, and an entry that was added to a locked timesheet.
    """
    with ready_database(DB_STATEMENT_TIMEOUT_SECONDS=STATEMENT_TIMEOUT_SECONDS) as database, progress_bar() as progress:
        lines = [] if checkpoint is None else _checkpoints_in(checkpoint)
        task = progress.add_task("Links", visible=False)
        with database.read_transaction("cli:verify-audit") as session, closing(Reconciliation(session)) as rows:
            result = verification.verify(
                session,
                lines,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total, visible=True),
                reconciliation=rows,
            )
            missing_rows, differences = find_missing_rows(session), find_differences(session)
            not_compared = find_unknown_wording(session)
            damage = session.find_damage(own_tables())
            timesheets = timesheet_verification.verify(session)
    typer.echo(
        f"Audit log verified: {result.chains} chains, {result.events} events "
        f"({result.erased} with erased personal values), {result.checkpoints} checkpoints."
    )
    typer.echo(f"Timesheets verified: {timesheets.sheets} submitted or approved.")
    for name, count in sorted(rows.uncovered.items()):
        typer.echo(f"Not covered: {count} values of {name}. The events of an earlier version do not hold them.")
    for sentence in not_compared:
        typer.echo(sentence)
    for fault in (*damage, *missing_rows, *differences, *rows.named_faults, *timesheets.named_faults):
        typer.secho(fault, fg="red", err=True)
    if differences:
        typer.secho("The schema differs from what the migrations create.", fg="red", err=True)
    if rows.faults:
        typer.secho(f"The rows differ from the audit log: {rows.faults} faults.", fg="red", err=True)
    if timesheets.faults:
        typer.secho(f"Timesheets differ from their entries: {timesheets.faults} faults.", fg="red", err=True)
    if damage:
        typer.secho("The database is damaged.", fg="red", err=True)
    if damage or missing_rows or differences or rows.faults or timesheets.faults:
        raise typer.Exit(1)


@commands.command()
def audit_baseline() -> None:
    """Record the values that the events of earlier versions do not hold ("Not covered" in verify-audit).

    From then on, verify-audit finds changes of these values too. Exit with 1 if the rows differ from the audit log.
    """
    with ready_database(DB_STATEMENT_TIMEOUT_SECONDS=STATEMENT_TIMEOUT_SECONDS) as database:
        with database.read_transaction(BASELINE_REQUEST_ID) as session:
            rows = baseline.find_uncovered(session)
        written = baseline.write_baseline(database, rows, request_id=BASELINE_REQUEST_ID, at=utc_now())
    typer.echo(f"Recorded the values of {written} rows.")


@commands.command()
def audit_checkpoint() -> None:
    """Print a checkpoint: one signed line with all chain heads. Store it where database admins cannot change it."""
    with ready_database() as database, database.read_transaction("cli:audit-checkpoint") as session:
        typer.echo(verification.create_checkpoint(session, at=utc_now()))


def _checkpoints_in(file: Path) -> list[str]:
    """Read the lines of the file in any encoding. Verification then reports an invalid line by its number."""
    lines = file.read_text("utf-8", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise CommandError(f"There is no checkpoint in {file}.")
    return lines
