"""Commands that write the same export files as the API."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    STANDARD_OUTPUT,
    CommandError,
    Force,
    open_output,
    parse_value,
    progress_bar,
    ready_database,
    require_writable,
)
from app.core.spreadsheet import CsvDialect
from app.core.time.clock import utc_now
from app.schemas.csv_dialect import CsvDecimal, CsvDelimiter, CsvDialectName
from app.schemas.reports.report import Attribution, ExportColumns, ExportFormat, OnlyEntries, ReportScope
from app.schemas.types import MAX_ID, Day, Month, TimeZoneName
from app.services.access import locks
from app.services.calendar.periods import Period, month_period
from app.services.exports import exports
from app.services.exports.exports import ExportQuery
from app.services.timesheets import month_sheet, pdf

commands = typer.Typer()


@commands.command()
def export(
    target: Annotated[
        Path,
        typer.Argument(
            help="File to write. The suffix sets the format: .csv, .xlsx or .jsonl. `-` writes CSV to standard output."
        ),
    ],
    start_date: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")],
    end_date: Annotated[str, typer.Option(help="Last day, inclusive, YYYY-MM-DD.")],
    manager: Annotated[
        int | None, typer.Option(help="Export only the team of the manager with this id.", min=1, max=MAX_ID)
    ] = None,
    include_indirect: Annotated[bool, typer.Option(help="With --manager: also indirect reports.")] = False,
    columns: Annotated[ExportColumns, typer.Option(help="Columns to write.")] = ExportColumns.full,
    attribution: Annotated[
        Attribution, typer.Option(help="Count an entry on the day it starts, or split it at each midnight.")
    ] = Attribution.at_start,
    only: Annotated[OnlyEntries | None, typer.Option(help="`approved`: only entries in approved timesheets.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Time zone of the days. Default: each entry's own.")] = None,
    dialect: Annotated[
        CsvDialectName, typer.Option(help="CSV only: `excel` begins the file with a byte order mark.")
    ] = CsvDialectName.standard,
    delimiter: Annotated[CsvDelimiter, typer.Option(help="CSV only: delimiter of the cells.")] = CsvDelimiter.comma,
    decimal: Annotated[CsvDecimal, typer.Option(help="CSV only: decimal separator of the hours.")] = CsvDecimal.point,
    force: Force = False,
) -> None:
    """Export the entries of all users or of one team to a file. The export is recorded in the audit log."""
    with ready_database() as database, progress_bar() as progress:
        export_format = _export_format(target)
        require_writable(target, force=force)
        scope = ReportScope.all if manager is None else ReportScope.team
        query = ExportQuery(
            _parse_period(start_date, end_date, time_zone),
            scope,
            include_indirect,
            columns,
            attribution,
            CsvDialect(dialect is CsvDialectName.excel, delimiter, decimal),
            only,
        )
        included = exports.all_users_filter() if manager is None else exports.team_filter(manager, query)
        with database.write_transaction("cli:export") as session:
            locks.lock_users(session, *([manager] if manager else []))
            exports.record_export(session, export_format, query, scope=scope, actor=None, at=(now := utc_now()))
        needs_review: list[int] = []
        task = progress.add_task("Entries", total=None)
        with database.read_transaction("cli:export") as session, open_output(target) as file:
            progress.update(task, total=exports.count_entries(session, included, query))
            exports.write(
                session,
                included,
                query,
                export_format,
                file.write,
                at=now,
                on_rows=lambda rows: progress.update(task, advance=rows),
                on_needs_review=needs_review.append,
            )
    if needs_review[0]:
        typer.echo(f"Entries that need review: {needs_review[0]}.", err=target == STANDARD_OUTPUT)


@commands.command("timesheet")
def timesheet_command(
    user_id: Annotated[int, typer.Argument(help="The user's id.", min=1, max=MAX_ID)],
    month: Annotated[str, typer.Argument(help="Month, YYYY-MM.")],
    target: Annotated[Path, typer.Argument(help="File to write. `-` is standard output.")],
    time_zone: Annotated[str | None, typer.Option(help="Time zone of the days. Default: each entry's own.")] = None,
    force: Force = False,
) -> None:
    """Write a user's timesheet for a month as PDF. The export is recorded in the audit log."""
    with ready_database() as database:
        require_writable(target, force=force)
        period = month_period(
            parse_value(Month, month), None if time_zone is None else parse_value(TimeZoneName, time_zone)
        )
        with database.write_transaction("cli:timesheet") as session:
            locks.lock_users(session, user_id)
            month_sheet.record_export(session, user_id, period, actor=None, at=(now := utc_now()))
        with database.read_transaction("cli:timesheet") as session:
            sheet = month_sheet.load_for_operator(session, user_id, period, at=now)
        with open_output(target) as file:
            file.write(pdf.render(sheet))
    if not sheet.comparison.agrees:
        typer.secho(f"WARNING: The audit log {sheet.comparison}", fg="red", err=True)


def _export_format(target: Path) -> ExportFormat:
    formats_by_suffix = {".csv": ExportFormat.csv, ".xlsx": ExportFormat.xlsx, ".jsonl": ExportFormat.json}
    if target == STANDARD_OUTPUT:
        return ExportFormat.csv
    if target.suffix not in formats_by_suffix:
        raise CommandError(f"{target}: the name must end with one of {', '.join(formats_by_suffix)}.")
    return formats_by_suffix[target.suffix]


def _parse_period(start_date: str, end_date: str, time_zone: str | None) -> Period:
    start, end = parse_value(Day, start_date), parse_value(Day, end_date)
    return Period(start, end, None if time_zone is None else parse_value(TimeZoneName, time_zone))
