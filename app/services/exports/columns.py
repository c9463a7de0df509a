"""The columns of an export: one description for all its formats, and the statement that fills them.

A column says what it holds as an expression over an entry, or a part of one. How that looks is up to its kind and the
format: see csv, xlsx and json_lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.core.database.session import Session
from app.models.tables import PROJECT, USER
from app.schemas.reports.report import Attribution, Columns
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import ResolvedPeriod
from app.services.calendar.segments import Stretches, stretches
from app.services.time_entries.entries import flagged


class Kind(Enum):
    """What a cell holds."""

    number = auto()
    """A whole number."""
    text = auto()
    date = auto()
    """The date of a wall time."""
    time = auto()
    """The time of day of a wall time."""
    hours = auto()
    """Whole seconds, shown as hours."""
    instant = auto()
    flag = auto()


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of an export, or their parts, and what can be told of each."""

    session: Session
    stretches: Stretches
    local: LocalTime
    at: datetime

    @property
    def entry(self) -> ReadOnlyColumnCollection[str, Any]:
        return self.stretches.entry.c

    @property
    def day(self) -> ColumnElement[datetime]:
        return self.local.wall(self.stretches.start, "day")

    @property
    def start(self) -> ColumnElement[datetime]:
        return self.local.wall(self.stretches.start)

    @property
    def end(self) -> ColumnElement[datetime]:
        return self.local.wall(self.stretches.end)

    @property
    def needs_review(self) -> ColumnElement[bool]:
        return flagged(self.session, self.stretches.entry, at=self.at)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind
    width: int
    """In a sheet, in characters."""
    of: Callable[[Entries], ColumnElement[Any]]


SETTLED = (
    Column("employee_id", Kind.number, 12, lambda _: USER.c.id),
    Column("employee_name", Kind.text, 24, lambda _: USER.c.first_name + " " + USER.c.last_name),
    Column("project_name", Kind.text, 24, lambda _: PROJECT.c.name),
    Column("date", Kind.date, 11, lambda entries: entries.day),
    Column("start_time", Kind.time, 10, lambda entries: entries.start),
    Column("end_time", Kind.time, 10, lambda entries: entries.end),
    Column("hours_worked", Kind.hours, 13, lambda entries: entries.stretches.seconds),
    Column("description", Kind.text, 40, lambda entries: entries.entry.description),
)
FULL = (
    *SETTLED,
    Column("entry_id", Kind.number, 10, lambda entries: entries.entry.id),
    Column("employee_email", Kind.text, 28, lambda _: USER.c.email),
    Column("project_id", Kind.number, 10, lambda _: PROJECT.c.id),
    Column("time_zone", Kind.text, 18, lambda entries: entries.entry.time_zone),
    Column("start_utc", Kind.instant, 20, lambda entries: entries.stretches.start),
    Column("end_utc", Kind.instant, 20, lambda entries: entries.stretches.end),
    Column("seconds_worked", Kind.number, 14, lambda entries: entries.stretches.seconds),
    Column("needs_review", Kind.flag, 12, lambda entries: entries.needs_review),
)


def columns_of(wanted: Columns) -> Sequence[Column]:
    return FULL if wanted is Columns.full else SETTLED


def entries_of(
    session: Session,
    resolved: ResolvedPeriod,
    attribution: Attribution,
    people: ColumnElement[bool],
    columns: Sequence[Column],
    shown: Callable[[Column, ColumnElement[Any]], ColumnElement[Any]],
    *,
    at: datetime,
) -> Select[Any]:
    """The statement that gives the columns of each entry of these people, or part of one, by person and start.

    `shown` makes of a column's expression what the format wants to read.
    """
    found = stretches(session, resolved, attribution, people)
    local = LocalTime(resolved).of_zone(found.entry.c.time_zone)
    entries = Entries(session, found, local, at)
    return (
        select(*(shown(column, column.of(entries)).label(column.name) for column in columns))
        .select_from(found.entry)
        .join(USER, USER.c.id == found.entry.c.user_id)
        .join(PROJECT, PROJECT.c.id == found.entry.c.project_id)
        .where(people, found.belongs)
        .order_by(found.entry.c.user_id, found.start, found.entry.c.id)
    )
