"""Columns of time entries that the database renders, for exports and team reports in all formats.

A column is an expression over an entry or its segment (see core/database/rows.py).
"""

from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, literal, select, union_all

from app.core.database.rendering import CellType
from app.core.database.rows import Column, Rows
from app.core.database.session import Session
from app.models.tables import ENTRY, PROJECT, USER, full_name
from app.schemas.reports.report import Attribution, ExportColumns, OnlyEntries
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import ResolvedPeriod
from app.services.calendar.segments import entry_segments
from app.services.time_entries.entries import approved_clause, needs_review_clause, only_clause

_LISTED = ENTRY.alias("listed")
# Each has a partial index. SQLite does not choose them for an OR, and would read all entries of the period.
_FLAGGED_OR_OPEN = union_all(
    select(_LISTED.c.id).where(_LISTED.c.needs_review), select(_LISTED.c.id).where(_LISTED.c.end_time.is_(None))
)


class EntryRows(Rows):
    """The entries of some users in a period, or their segments, with the expressions that columns use.

    They are ordered by user and start, or with `newest_first` by start, for the entries of one user.
    """

    def __init__(
        self,
        session: Session,
        resolved: ResolvedPeriod,
        attribution: Attribution,
        users: ColumnElement[bool],
        *,
        at: datetime,
        only: OnlyEntries | None = None,
        newest_first: bool = False,
    ) -> None:
        """Find the segments of the period. `users` is a condition over USER."""
        self.session, self._resolved, self._users, self._at = session, resolved, users, at
        self._attribution, self._only, self._newest_first = attribution, only, newest_first
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
    def is_approved(self) -> ColumnElement[bool]:
        return approved_clause(self._entries)

    @property
    def needs_review(self) -> ColumnElement[bool]:
        return needs_review_clause(self.session, self._entries, at=self._at)

    def count_needing_review(self) -> int:
        """Count the entries that need review. An entry with several segments counts once."""
        of_users = select(func.count()).select_from(ENTRY).join(USER, USER.c.id == ENTRY.c.user_id)
        is_counted = self._users, self._is_entry_included, only_clause(self._only, ENTRY)
        is_in_review = needs_review_clause(self.session, ENTRY, at=self._at)
        is_flagged_or_open = ENTRY.c.id.in_(_FLAGGED_OR_OPEN)
        return int(self.session.execute(of_users.where(is_flagged_or_open, is_in_review, *is_counted)).scalar_one())

    def select(self, *expressions: ColumnElement[Any]) -> Select[Any]:
        """Return the statement that selects the expressions for each row."""
        order: tuple[ColumnElement[Any], ...] = (self.entry.user_id, self.start, self.entry.id)
        if self._newest_first:
            order = (self.start.desc(), self.entry.id.desc())
        return (
            select(*expressions)
            .select_from(self._entries)
            .join(USER, USER.c.id == self.entry.user_id)
            .join(PROJECT, PROJECT.c.id == self.entry.project_id)
            .where(self._users, self._is_included, only_clause(self._only, self._entries))
            .order_by(*order)
        )


EntryColumn = Column[EntryRows]


def _entry_column(name: str, cell_type: CellType) -> EntryColumn:
    return EntryColumn(name, cell_type, lambda rows: rows.entry[name])


ENTRY_COLUMNS = (
    _entry_column("id", CellType.number),
    _entry_column("user_id", CellType.number),
    _entry_column("project_id", CellType.number),
    EntryColumn("start_time", CellType.instant, lambda rows: rows.start),
    EntryColumn("end_time", CellType.instant, lambda rows: rows.end),
    _entry_column("description", CellType.text),
    _entry_column("time_zone", CellType.text),
    EntryColumn("needs_review", CellType.flag, lambda rows: rows.needs_review),
    _entry_column("version", CellType.number),
    _entry_column("created_at", CellType.instant),
    _entry_column("updated_at", CellType.instant),
    _entry_column("timesheet_id", CellType.number),
)
"""The fields of TimeEntryRead. A test compares the two."""
PROJECT_COLUMNS = (
    EntryColumn("id", CellType.number, lambda _: PROJECT.c.id),
    EntryColumn("name", CellType.text, lambda _: PROJECT.c.name),
    EntryColumn("is_active", CellType.flag, lambda _: PROJECT.c.is_active),
    EntryColumn("created_at", CellType.instant, lambda _: PROJECT.c.created_at),
    EntryColumn("code", CellType.text, lambda _: PROJECT.c.code),
)
"""The fields of ProjectRead."""
_BASIC_COLUMNS = (
    EntryColumn("employee_id", CellType.number, lambda _: USER.c.id),
    EntryColumn("employee_name", CellType.text, lambda _: full_name(USER)),
    EntryColumn("project_name", CellType.text, lambda _: PROJECT.c.name),
    EntryColumn("date", CellType.date, lambda rows: rows.local.local_timestamp(rows.start, "day")),
    EntryColumn("start_time", CellType.time, lambda rows: rows.local.local_timestamp(rows.start)),
    EntryColumn("end_time", CellType.time, lambda rows: rows.local_ends.local_timestamp(rows.end)),
    EntryColumn("hours_worked", CellType.hours, lambda rows: rows.seconds),
    _entry_column("description", CellType.text),
)
EXPORT_COLUMNS = {
    ExportColumns.basic: _BASIC_COLUMNS,
    ExportColumns.full: (
        *_BASIC_COLUMNS,
        EntryColumn("entry_id", CellType.number, lambda rows: rows.entry.id),
        EntryColumn("employee_email", CellType.text, lambda _: USER.c.email),
        EntryColumn("project_id", CellType.number, lambda _: PROJECT.c.id),
        _entry_column("time_zone", CellType.text),
        EntryColumn("start_utc", CellType.instant, lambda rows: rows.start),
        EntryColumn("end_utc", CellType.instant, lambda rows: rows.end),
        EntryColumn("seconds_worked", CellType.number, lambda rows: rows.seconds),
        EntryColumn("needs_review", CellType.flag, lambda rows: rows.needs_review),
        EntryColumn("local_time_zone", CellType.text, lambda rows: rows.local_time_zone),
        EntryColumn("project_code", CellType.text, lambda _: PROJECT.c.code),
        EntryColumn("approved", CellType.flag, lambda rows: rows.is_approved),
    ),
}
