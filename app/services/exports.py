"""Exports: entries as rows for payroll. One description of columns; every cell is made safe for spreadsheets."""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, select

from app.core.db import Session
from app.core.tokens import Claims
from app.models.user import Role
from app.schemas.report import Columns, Scope
from app.schemas.types import hours
from app.services import audit
from app.services.identity import USER, Actor, authenticate, require_role
from app.services.periods import ENTRY, Period, starts_within
from app.services.projects import PROJECT
from app.services.reports import people_in_report
from app.services.time_entries import needs_review

ROWS_PER_CHUNK = 1000
FORMULA_STARTS = frozenset("=+-@\t\r\n\0")


@dataclass(frozen=True, slots=True)
class ExportWanted:
    """What an export is asked to hold."""

    period: Period
    scope: Scope
    include_indirect: bool
    columns: Columns


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with its instants in the zone of its days."""

    entry: Row[Any]
    start: datetime
    end: datetime | None
    needs_review: bool

    @property
    def seconds(self) -> int | None:
        """From the UTC instants: Python subtracts two times of one zone by the clock on the wall, DST or not."""
        ended = self.entry.end_time
        return None if ended is None else int((ended - self.entry.start_time).total_seconds())


Cell = Callable[[Line], str | int | float | None]
SETTLED: dict[str, Cell] = {
    "employee_id": lambda line: line.entry.user_id,
    "employee_name": lambda line: safe_text(f"{line.entry.first_name} {line.entry.last_name}"),
    "project_name": lambda line: safe_text(line.entry.project_name),
    "date": lambda line: line.start.date().isoformat(),
    "start_time": lambda line: _clock(line.start),
    "end_time": lambda line: None if line.end is None else _clock(line.end),
    "hours_worked": lambda line: None if line.seconds is None else hours(line.seconds),
    "description": lambda line: safe_text(line.entry.description),
}
FULL: dict[str, Cell] = SETTLED | {
    "entry_id": lambda line: line.entry.id,
    "employee_email": lambda line: safe_text(line.entry.email),
    "project_id": lambda line: line.entry.project_id,
    "time_zone": lambda line: line.entry.time_zone,
    "start_utc": lambda line: _utc(line.start),
    "end_utc": lambda line: None if line.end is None else _utc(line.end),
    "seconds_worked": lambda line: line.seconds,
    "needs_review": lambda line: "true" if line.needs_review else "false",
}
_LINES = (
    select(ENTRY, USER.c.first_name, USER.c.last_name, USER.c.email, PROJECT.c.name.label("project_name"))
    .join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
    .join(PROJECT, PROJECT.c.id == ENTRY.c.project_id)
    .order_by(ENTRY.c.user_id, ENTRY.c.start_time, ENTRY.c.id)
)


def begin(session: Session, claims: Claims, wanted: ExportWanted, *, at: datetime) -> Actor:
    """Let the caller take the export out, and note in the record who took what.

    Raises BadToken, and RoleNeeded unless a manager asks, or an admin for `scope=all`.
    """
    actor = authenticate(session, claims)
    require_role(actor, Role.manager, Role.admin)
    people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    facts = {
        "start_date": wanted.period.start,
        "end_date": wanted.period.end,
        "tz": wanted.period.zone,
        "scope": wanted.scope,
        "include_indirect": wanted.include_indirect,
        "columns": wanted.columns,
    }
    audit.record(session, "export:csv", at=at, actor_id=actor.id, subject_id=actor.id, after=facts)
    return actor


def csv_chunks(session: Session, actor: Actor, wanted: ExportWanted, *, at: datetime) -> Iterator[bytes]:
    """The export as CSV (RFC 4180, UTF-8), a thousand rows at a time, from one snapshot."""
    columns = FULL if wanted.columns is Columns.full else SETTLED
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for number, line in enumerate(_lines(session, actor, wanted, at=at), start=1):
        writer.writerow([cell(line) for cell in columns.values()])
        if number % ROWS_PER_CHUNK == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def safe_text(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would read a formula (OWASP, CSV injection)."""
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return f"'{text}" if text[:1] in FORMULA_STARTS or first in FORMULA_STARTS else text


def _lines(session: Session, actor: Actor, wanted: ExportWanted, *, at: datetime) -> Iterator[Line]:
    included = _included(session, actor, wanted)
    statement = _LINES.where(included, starts_within(session, wanted.period))
    for row in session.execute(statement, execution_options={"yield_per": ROWS_PER_CHUNK}):
        zone = ZoneInfo(wanted.period.zone or row.time_zone)
        end = row.end_time and row.end_time.astimezone(zone)
        review = needs_review(session, row.needs_review, row.start_time, row.end_time, now=at)
        yield Line(row, row.start_time.astimezone(zone), end, review)


def _included(session: Session, actor: Actor, wanted: ExportWanted) -> ColumnElement[bool]:
    """The people in the report; the actor alone where they have no team."""
    included = people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    has_anyone = session.execute(select(USER.c.id).where(included).limit(1)).first() is not None
    return included if has_anyone else USER.c.id == actor.id


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _clock(local: datetime) -> str:
    return local.time().isoformat()


def _utc(local: datetime) -> str:
    return local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
