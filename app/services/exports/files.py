"""The parts that all exported files share: the users in them, and the writers of the formats."""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, select

from app.core.database.rows import Column, RowsT
from app.core.database.session import Session
from app.core.server.spool import Write
from app.core.spreadsheet import CsvDialect
from app.models.tables import USER
from app.schemas.reports.report import ExportFormat, ReportScope
from app.services.access.actor import Actor
from app.services.access.visibility import users_in_report
from app.services.calendar.periods import Period
from app.services.exports.text_formats import write_csv, write_json_lines
from app.services.exports.xlsx import UserTotals, write_xlsx


def users_in_file(
    session: Session, actor: Actor, scope: ReportScope, *, include_indirect: bool
) -> tuple[str, ColumnElement[bool]]:
    """Return the scope and the condition for users in the actor's file: the scope, or `own` without a team.

    Raises RoleRequired if the scope is `all` and the actor is not an admin.
    """
    is_included = users_in_report(actor, scope=scope, include_indirect=include_indirect)
    if session.execute(select(USER.c.id).where(is_included).limit(1)).first() is None:
        return "own", USER.c.id == actor.id
    return scope.value, is_included


def write_file(
    rows: RowsT,
    columns: Sequence[Column[RowsT]],
    export_format: ExportFormat,
    out: Write,
    on_rows: Callable[[int], None],
    *,
    dialect: CsvDialect,
    sheet_name: str,
    totals: UserTotals | None = None,
) -> None:
    """Write the rows in chunks. The name of the sheet and the totals are for XLSX. Raises TooManyRows."""
    match export_format:
        case ExportFormat.csv:
            write_csv(rows, columns, out, on_rows, dialect=dialect)
        case ExportFormat.xlsx:
            write_xlsx(rows, columns, out, on_rows, sheet_name=sheet_name, totals=totals)
        case ExportFormat.json:
            write_json_lines(rows, columns, out, on_rows)


def file_name(prefix: str, period: Period, export_format: ExportFormat) -> str:
    """Return the file name. It holds only dates and the format, so that no user input gets into a header."""
    return f"{prefix}_{period.start}_to_{period.end}.{export_format.extension}"
