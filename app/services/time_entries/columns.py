"""Columns of time entries that the database renders, for exports and team reports in all formats.

A column is an expression over an entry or its segment. Its type and the format determine how the value is rendered
(see core/database/rendering.py).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, literal, select, union_all

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.rendering import CellType, json_object, json_value
from app.core.database.session import Session
from app.models.tables import ENTRY, PROJECT, USER, full_name
from app.schemas.reports.report import Attribution, ExportColumns
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import ResolvedPeriod
from app.services.calendar.segments import entry_segments
from app.services.time_entries.entries import needs_review_clause

_LISTED = ENTRY.alias("listed")
# Each has a partial index. SQLite does not choose them for an OR, and would read all entries of the period.
_FLAGGED_OR_OPEN = union_all(
    select(_LISTED.c.id).where(_LISTED.c.needs_review), select(_LISTED.c.id).where(_LISTED.c.end_time.is_(None))
)


class EntryRows:
    """The entries of some users in a period, or their segments, with the expressions that columns use."""

    def __init__(
        self,
        session: Session,
        resolved: ResolvedPeriod,
        attribution: Attribution,
        users: ColumnElement[bool],
        *,
        at: datetime,
    ) -> None:
        """Find the segments of the period. `users` is a condition over USER."""
        self.session, self._resolved, self._users, self._at = session, resolved, users, at
        self._attribution = attribution
        segments = entry_segments(session, resolved, attribution, users, at=at)
        self._entries, self._is_included, self.entry = segments.entry, segments.is_included, segments.entry.c
        self._is_entry_included = segments.is_entry_included
        self.start, self.end, self.seconds = segments.start, segments.end, segments.seconds
        self.is_first = segments.is_first

    @cached_property
    def local(self) -> LocalTime:
        """Local times of starts, which lie inside the period."""
        return LocalTime(self._resolved).with_zone(self.entry.time_zone)

    @cached_property
    def local_ends(self) -> LocalTime:
        """Local times of ends. A whole entry that starts in the period may end years later."""
        if self._attribution is Attribution.at_midnight:
            return self.local
        return LocalTime(self._resolved, until=self._resolved.latest_end).with_zone(self.entry.time_zone)

    @property
    def local_time_zone(self) -> ColumnElement[str]:
        """The time zone of the local times: that of the period if it has one, else that of the entry."""
        zone: ColumnElement[str] = self.entry.time_zone
        return zone if self._resolved.period.zone is None else literal(self._resolved.period.zone, Text)

    @property
    def needs_review(self) -> ColumnElement[bool]:
        return needs_review_clause(self.session, self._entries, at=self._at)

    def count_needing_review(self) -> int:
        """Count the entries that need review. An entry with several segments counts once."""
        of_users = select(func.count()).select_from(ENTRY).join(USER, USER.c.id == ENTRY.c.user_id)
        is_counted = self._users, self._is_entry_included, needs_review_clause(self.session, ENTRY, at=self._at)
        is_flagged_or_open = ENTRY.c.id.in_(_FLAGGED_OR_OPEN)
        return int(self.session.execute(of_users.where(is_flagged_or_open, *is_counted)).scalar_one())

    def select(self, *expressions: ColumnElement[Any], newest_first: bool = False) -> Select[Any]:
        """Return the statement that selects the expressions for each row, ordered by user and start.

        With `newest_first` it is ordered by start, for the entries of one user.
        """
        order: tuple[ColumnElement[Any], ...] = (self.entry.user_id, self.start, self.entry.id)
        if newest_first:
            order = (self.start.desc(), self.entry.id.desc())
        return (
            select(*expressions)
            .select_from(self._entries)
            .join(USER, USER.c.id == self.entry.user_id)
            .join(PROJECT, PROJECT.c.id == self.entry.project_id)
            .where(self._users, self._is_included)
            .order_by(*order)
        )

    def stream(
        self, *expressions: ColumnElement[Any], newest_first: bool = False, limit: int | None = None
    ) -> Generator[Sequence[Any]]:
        """Run that statement and yield its rows in batches of FETCH_SIZE.

        The result is always closed. On SQLite, a result that is not read to its end keeps the snapshot of the
        connection. The next user of the connection would then read old data.
        """
        statement = self.select(*expressions, newest_first=newest_first).limit(limit)
        with self.session.execute(statement, execution_options={"yield_per": FETCH_SIZE}) as rows:
            yield from rows.partitions()


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: CellType
    expression: Callable[[EntryRows], ColumnElement[Any]]


def row_as_json(rows: EntryRows, columns: Sequence[Column], **extra: ColumnElement[str]) -> ColumnElement[str]:
    """Return the expression of a JSON object with these columns, and with `extra` fields that are already JSON."""
    return json_object({column.name: json_value(column.expression(rows), column.type) for column in columns} | extra)


def _entry_column(name: str, cell_type: CellType) -> Column:
    return Column(name, cell_type, lambda rows: rows.entry[name])


ENTRY_COLUMNS = (
    _entry_column("id", CellType.number),
    _entry_column("user_id", CellType.number),
    _entry_column("project_id", CellType.number),
    Column("start_time", CellType.instant, lambda rows: rows.start),
    Column("end_time", CellType.instant, lambda rows: rows.end),
    _entry_column("description", CellType.text),
    _entry_column("time_zone", CellType.text),
    Column("needs_review", CellType.flag, lambda rows: rows.needs_review),
    _entry_column("version", CellType.number),
    _entry_column("created_at", CellType.instant),
    _entry_column("updated_at", CellType.instant),
    _entry_column("timesheet_id", CellType.number),
)
"""The fields of TimeEntryRead. A test compares the two."""
PROJECT_COLUMNS = (
    Column("id", CellType.number, lambda _: PROJECT.c.id),
    Column("name", CellType.text, lambda _: PROJECT.c.name),
    Column("is_active", CellType.flag, lambda _: PROJECT.c.is_active),
    Column("created_at", CellType.instant, lambda _: PROJECT.c.created_at),
    Column("code", CellType.text, lambda _: PROJECT.c.code),
)
"""The fields of ProjectRead."""
_BASIC_COLUMNS = (
    Column("employee_id", CellType.number, lambda _: USER.c.id),
    Column("employee_name", CellType.text, lambda _: full_name(USER)),
    Column("project_name", CellType.text, lambda _: PROJECT.c.name),
    Column("date", CellType.date, lambda rows: rows.local.local_timestamp(rows.start, "day")),
    Column("start_time", CellType.time, lambda rows: rows.local.local_timestamp(rows.start)),
    Column("end_time", CellType.time, lambda rows: rows.local_ends.local_timestamp(rows.end)),
    Column("hours_worked", CellType.hours, lambda rows: rows.seconds),
    _entry_column("description", CellType.text),
)
EXPORT_COLUMNS = {
    ExportColumns.basic: _BASIC_COLUMNS,
    ExportColumns.full: (
        *_BASIC_COLUMNS,
        Column("entry_id", CellType.number, lambda rows: rows.entry.id),
        Column("employee_email", CellType.text, lambda _: USER.c.email),
        Column("project_id", CellType.number, lambda _: PROJECT.c.id),
        _entry_column("time_zone", CellType.text),
        Column("start_utc", CellType.instant, lambda rows: rows.start),
        Column("end_utc", CellType.instant, lambda rows: rows.end),
        Column("seconds_worked", CellType.number, lambda rows: rows.seconds),
        Column("needs_review", CellType.flag, lambda rows: rows.needs_review),
        Column("local_time_zone", CellType.text, lambda rows: rows.local_time_zone),
    ),
}
