"""Exports: entries as rows for payroll. One description of columns; every cell is made safe for spreadsheets."""

import csv
import io
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, select

from app.core.db import Session
from app.core.time_zones import local_day
from app.core.tokens import Claims
from app.models.user import Role
from app.schemas.report import Attribution, Columns, Scope
from app.schemas.types import hours
from app.services import audit
from app.services.attribution import belonging, cut
from app.services.identity import USER, Actor, authenticate, require_role
from app.services.periods import ENTRY, Period, unix_seconds
from app.services.projects import PROJECT
from app.services.reports import people_in_report
from app.services.time_entries import needs_review

ROWS_PER_CHUNK = 1000
# What NFKC makes = + - @ of counts as such (full width, small, superscript ...). Half of Europe's spreadsheets split at
# semicolons and know no quotes inside a cell, so behind a semicolon or a line break a formula may start as well.
_TRIGGER = (
    "[-=+@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u207b\u208c\u208a\u208b\ufb29\u2a75\u2a76]"
)
_HARMLESS = re.compile(r"\w[^;\t\r\n]*")  # nearly every text, told apart ten times faster
_AS_GUARDED = re.compile(rf"(?:^|(?<=[;\t\r\n]))(?='+\s*{_TRIGGER})")
_GUARDED = re.compile(rf"(?:^|(?<=[;\t\r\n]))'(?='*\s*{_TRIGGER})")
_FORMULA = re.compile(rf"^(?=\s*(?:[\t\r\n\0]|{_TRIGGER}))|[;\t\r\n](?=[^\S\r\n]*{_TRIGGER})")


@dataclass(frozen=True, slots=True)
class ExportWanted:
    """What an export is asked to hold."""

    period: Period
    scope: Scope
    include_indirect: bool
    columns: Columns
    attribution: Attribution


SETTLED = (
    "employee_id",
    "employee_name",
    "project_name",
    "date",
    "start_time",
    "end_time",
    "hours_worked",
    "description",
)
FULL = (
    *SETTLED,
    "entry_id",
    "employee_email",
    "project_id",
    "time_zone",
    "start_utc",
    "end_utc",
    "seconds_worked",
    "needs_review",
)
ENTRY_COLUMNS = ("id", "user_id", "project_id", "description", "time_zone", "needs_review")
ZONE_AT = ENTRY_COLUMNS.index("time_zone")
Cell = str | int | float | None


def begin(session: Session, claims: Claims, wanted: ExportWanted, *, at: datetime) -> Actor:
    """Let the caller take the export out, and note in the record who asked for what, before a byte of it goes out.

    The event says whose hours: the scope, or `own` where the caller has no team.

    Raises BadToken, and RoleNeeded unless a manager asks, or an admin for `scope=all`.
    """
    actor = authenticate(session, claims)
    require_role(actor, Role.manager, Role.admin)
    included = people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    facts = {
        "start_date": wanted.period.start,
        "end_date": wanted.period.end,
        "tz": wanted.period.zone,
        "scope": wanted.scope if _has_anyone(session, included) else "own",
        "include_indirect": wanted.include_indirect,
        "columns": wanted.columns,
        "attribution": wanted.attribution,
    }
    audit.record(session, "export:csv", at=at, actor_id=actor.id, subject_id=actor.id, after=facts)
    return actor


def csv_chunks(session: Session, actor: Actor, wanted: ExportWanted, *, at: datetime) -> Generator[bytes]:
    """The export as CSV (RFC 4180, UTF-8), a thousand rows at a time, from one snapshot."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(FULL if wanted.columns is Columns.full else SETTLED)
    for number, cells in enumerate(_rows(session, actor, wanted, at=at), start=1):
        writer.writerow(cells)
        if number % ROWS_PER_CHUNK == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def safe_text(text: str) -> str:
    """The text, with an apostrophe wherever a spreadsheet would start to read a formula (OWASP, CSV injection)."""
    return text if _HARMLESS.fullmatch(text) else _FORMULA.sub(r"\g<0>'", text)


def guarded(text: str) -> str:
    """Text of one line made safe like `safe_text`, so that `unguarded` has it back: an apostrophe that stands where
    ours would gets one more."""
    return text if _HARMLESS.fullmatch(text) else safe_text(_AS_GUARDED.sub("'", text))


def unguarded(cell: str) -> str:
    """The text that was guarded."""
    return cell if _HARMLESS.fullmatch(cell) else _GUARDED.sub("", cell)


def _rows(session: Session, actor: Actor, wanted: ExportWanted, *, at: datetime) -> Iterator[tuple[Cell, ...]]:
    """The cells of SETTLED or FULL for each entry, or part of one, dates and times in the zone of its days.

    Plain tuples and one plain loop, since there may be millions: a function per column took twice as long.
    """
    is_full = wanted.columns is Columns.full
    entries: Iterator[tuple[Any, ...]] = _entries(session, actor, wanted)
    if wanted.attribution is Attribution.at_midnight:
        entries = _cut(entries, wanted)
    for (
        entry_id, user_id, project_id, description, own_zone, is_marked,
        first_name, last_name, email, project_name, started, ended,
    ) in entries:  # fmt: skip
        zone = ZoneInfo(wanted.period.zone or own_zone)
        start = datetime.fromtimestamp(started, zone)
        day = local_day(started, zone.key) if start.fold else start.date()  # only there can the two differ
        end = None if ended is None else datetime.fromtimestamp(ended, zone)
        # Not end - start: Python subtracts two local times of one zone by the clock on the wall, DST or not.
        seconds = None if ended is None else ended - started
        cells: tuple[Cell, ...] = (
            user_id,
            safe_text(f"{first_name} {last_name}"),
            safe_text(project_name),
            day.isoformat(),
            start.time().isoformat(),
            None if end is None else end.time().isoformat(),
            None if seconds is None else hours(seconds),
            safe_text(description),
        )
        if is_full:
            cells += (
                entry_id,
                safe_text(email),
                project_id,
                own_zone,
                _utc(start),
                None if end is None else _utc(end),
                seconds,
                "true" if needs_review(session, is_marked, start, end, now=at) else "false",
            )
        yield cells


def _cut(entries: Iterator[tuple[Any, ...]], wanted: ExportWanted) -> Iterator[tuple[Any, ...]]:
    """The part of each entry that lies inside each day of the period, as rows of entries."""
    for *described, started, ended in entries:
        for _, begins, ends in cut(started, ended, wanted.period.zone or described[ZONE_AT], wanted.period):
            yield *described, begins, ends


def _entries(session: Session, actor: Actor, wanted: ExportWanted) -> Iterator[Row[*tuple[Any, ...]]]:
    included = _included(session, actor, wanted)
    belongs = belonging(session, wanted.period, wanted.attribution, included)
    statement = (
        select(
            *ENTRY.c[ENTRY_COLUMNS],
            *USER.c["first_name", "last_name", "email"],
            PROJECT.c.name,
            unix_seconds(session, ENTRY.c.start_time),
            unix_seconds(session, ENTRY.c.end_time),
        )
        .join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
        .join(PROJECT, PROJECT.c.id == ENTRY.c.project_id)
        .where(included, belongs)
        .order_by(ENTRY.c.user_id, ENTRY.c.start_time, ENTRY.c.id)
    )
    # Closed whatever happens: on SQLite a statement read half-way would keep the connection in the past, for whoever
    # gets it next, until the garbage collector comes by.
    with session.execute(statement, execution_options={"yield_per": ROWS_PER_CHUNK}) as rows:
        yield from rows


def _included(session: Session, actor: Actor, wanted: ExportWanted) -> ColumnElement[bool]:
    """The people in the report; the actor alone where they have no team."""
    included = people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    return included if _has_anyone(session, included) else USER.c.id == actor.id


def _has_anyone(session: Session, included: ColumnElement[bool]) -> bool:
    return session.execute(select(USER.c.id).where(included).limit(1)).first() is not None


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _utc(local: datetime) -> str:
    return f"{local.astimezone(UTC).isoformat()[:19]}Z"
