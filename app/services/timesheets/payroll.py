"""The payroll file: one row for each timesheet wholly inside the period, with what was approved."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)

from app.core.database.column_types import Instant
from app.core.database.rendering import CellType
from app.core.database.rows import Column, Rows
from app.core.database.session import Session
from app.core.server.spool import Write
from app.core.spreadsheet import STANDARD_DIALECT, CsvDialect
from app.models.tables import ENTRY, TIMESHEET, USER, full_name
from app.models.timesheets import TimesheetStatus
from app.schemas.reports.report import ExportFormat, ReportScope
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.calendar.periods import MAX_REPORT_DAYS, Period, resolve, starts_within
from app.services.exports.files import users_in_file, write_file
from app.services.time_entries.entries import approved_clause
from app.services.timesheets.contents import sums_of_users
from app.services.timesheets.periods import load_rules, periods_touching

_IS_APPROVED = TIMESHEET.c.status == TimesheetStatus.approved


@dataclass(frozen=True, slots=True)
class PayrollQuery:
    """The period and scope of a payroll file, and the dialect of a CSV file."""

    period: Period
    scope: ReportScope
    include_indirect: bool
    include_open: bool
    dialect: CsvDialect = STANDARD_DIALECT


class LeftOut(NamedTuple):
    """Numbers of users with an entry in no approved timesheet, and of approved timesheets only partly in the period."""

    users: int
    cut_timesheets: int


class PayrollRows(Rows):
    """The timesheets of some users that lie wholly inside a period, ordered by user and first day.

    With `include_open` these are all timesheets: also those that are not approved, and those that nobody submitted yet
    if they have entries. Sums of unlocked ones are computed. Otherwise these are the approved ones.
    """

    def __init__(
        self, session: Session, period: Period, users: ColumnElement[bool], *, include_open: bool = False
    ) -> None:
        """Prepare the statement. `users` is a condition over USER."""
        self.session, self._users = session, users
        is_inside = _is_inside(period)
        sums = _sums(session, period, users) if include_open else None
        if sums is not None:
            sheets: Any = union_all(_stored(sums).where(is_inside), _unsubmitted(sums))
        else:
            sheets = _stored(None).where(is_inside if include_open else is_inside & _IS_APPROVED)
        self._sheets = sheets.subquery("sheet")
        self.sheet = self._sheets.c

    def select(self, *expressions: ColumnElement[Any]) -> Select[Any]:
        """Return the statement that selects the expressions for each timesheet."""
        statement = select(*expressions).join_from(self._sheets, USER, USER.c.id == self.sheet.user_id)
        return statement.where(self._users).order_by(self.sheet.user_id, self.sheet.first_day)


def _sheet_column(name: str, cell_type: CellType) -> Column[PayrollRows]:
    return Column(name, cell_type, lambda rows: rows.sheet[name])


COLUMNS: tuple[Column[PayrollRows], ...] = (
    Column("employee_id", CellType.number, lambda _: USER.c.id),
    Column("employee_name", CellType.text, lambda _: full_name(USER)),
    Column("employee_email", CellType.text, lambda _: USER.c.email),
    _sheet_column("first_day", CellType.day),
    _sheet_column("last_day", CellType.day),
    _sheet_column("status", CellType.text),
    _sheet_column("approved_at", CellType.instant),
    _sheet_column("approved_by", CellType.number),
    _sheet_column("total_seconds", CellType.number),
    Column("total_hours", CellType.hours, lambda rows: rows.sheet.total_seconds),
    _sheet_column("entries", CellType.number),
    _sheet_column("digest", CellType.text),
)


def authorize(
    session: Session, actor: Actor, query: PayrollQuery, export_format: ExportFormat, *, at: datetime
) -> None:
    """Check that the actor may export this scope, and record the export before the first byte is sent.

    Raises RoleRequired if the scope is `all` and the actor is not an admin. Raises PeriodTooLong (over 400 days).
    """
    scope, _ = _users(session, actor, query)
    fields = {
        "start_date": query.period.start,
        "end_date": query.period.end,
        "scope": scope,
        "include_indirect": query.include_indirect,
        "include_open": query.include_open,
        "format": export_format,
    }
    recorder.record(session, "export:payroll", at=at, actor_id=actor.id, subject_id=actor.id, after=fields)


def count_left_out(session: Session, actor: Actor, query: PayrollQuery) -> LeftOut:
    """Count what the file leaves out, in the scope. Raises what `authorize` raises."""
    _, users = _users(session, actor, query)
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    is_missing = and_(starts_within(resolve(session, query.period, users)), ~approved_clause(ENTRY))
    missing = select(func.count(ENTRY.c.user_id.distinct())).join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
    touches = and_(TIMESHEET.c.first_day <= query.period.end, TIMESHEET.c.last_day >= query.period.start)
    cut = select(func.count(TIMESHEET.c.id)).join_from(TIMESHEET, USER, USER.c.id == TIMESHEET.c.user_id)
    cut = cut.where(users, touches, ~_is_inside(query.period), _IS_APPROVED)
    return LeftOut(
        session.execute(missing.where(users, is_missing)).scalar_one(),
        session.execute(cut).scalar_one(),
    )


def write(
    session: Session,
    actor: Actor,
    query: PayrollQuery,
    export_format: ExportFormat,
    out: Write,
    *,
    on_rows: Callable[[int], None],
    on_left_out: Callable[[LeftOut], None],
) -> None:
    """Write the file in chunks, from one snapshot. `on_left_out` gets its numbers before the first byte."""
    on_left_out(count_left_out(session, actor, query))
    _, users = _users(session, actor, query)
    rows = PayrollRows(session, query.period, users, include_open=query.include_open)
    write_file(rows, COLUMNS, export_format, out, on_rows, dialect=query.dialect, sheet_name="Payroll")


def _is_inside(period: Period) -> ColumnElement[bool]:
    return and_(TIMESHEET.c.first_day >= period.start, TIMESHEET.c.last_day <= period.end)


def _users(session: Session, actor: Actor, query: PayrollQuery) -> tuple[str, ColumnElement[bool]]:
    query.period.require_at_most(MAX_REPORT_DAYS)
    return users_in_file(session, actor, query.scope, include_indirect=query.include_indirect)


def _sums(session: Session, period: Period, users: ColumnElement[bool]) -> CTE | None:
    """Return the sums of all periods wholly inside the days, or None if there is no such period."""
    touching = periods_touching(load_rules(session), period.start, period.end)
    inside = [each for each in touching if period.start <= each.first_day and each.last_day <= period.end]
    return sums_of_users(session, inside, users).cte("sums") if inside else None


def _stored(sums: CTE | None) -> Select[Any]:
    """Return the query for timesheets with a row. Locked ones have their sums, others get those of `sums`."""
    query = select(
        *TIMESHEET.c["user_id", "first_day", "last_day"],
        type_coerce(TIMESHEET.c.status, Text).label("status"),
        case((_IS_APPROVED, TIMESHEET.c.decided_at)).label("approved_at"),
        case((_IS_APPROVED, TIMESHEET.c.decided_by)).label("approved_by"),
        *(_with_sum(name, sums) for name in ("total_seconds", "entries")),
        TIMESHEET.c.digest,
    )
    if sums is None:
        return query
    is_same = and_(sums.c.user_id == TIMESHEET.c.user_id, sums.c.first_day == TIMESHEET.c.first_day)
    return query.outerjoin_from(TIMESHEET, sums, is_same)


def _with_sum(name: str, sums: CTE | None) -> ColumnElement[int]:
    computed: ColumnElement[int] = literal(0) if sums is None else func.coalesce(sums.c[name], 0)
    return func.coalesce(TIMESHEET.c[name], computed).label(name)


def _unsubmitted(sums: CTE) -> Select[Any]:
    """Return the query for the periods with entries that nobody submitted."""
    is_same = and_(TIMESHEET.c.user_id == sums.c.user_id, TIMESHEET.c.first_day == sums.c.first_day)
    has_row = select(TIMESHEET.c.id).where(is_same).correlate(sums).exists()
    return select(
        *sums.c["user_id", "first_day", "last_day"],
        literal(TimesheetStatus.open.value, Text),
        cast(null(), Instant),
        cast(null(), Integer),
        *sums.c["total_seconds", "entries"],
        cast(null(), Text),
    ).where(~has_row)
