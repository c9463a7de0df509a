"""Exports of entries for payroll: who takes out what, noted in the record, and the file in one of three formats."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, true

from app.core.database.session import Session
from app.core.server.spool import Write
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, Columns, ExportFormat, ReportScope
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.visibility import people_in_report
from app.services.audit import recorder
from app.services.calendar.attribution import belonging
from app.services.calendar.periods import Period, resolve
from app.services.exports.text import write_csv, write_json_lines
from app.services.exports.xlsx import write_xlsx
from app.services.time_entries.columns import EXPORT_COLUMNS, EntryRows

_WRITERS = {ExportFormat.csv: write_csv, ExportFormat.xlsx: write_xlsx, ExportFormat.json: write_json_lines}


@dataclass(frozen=True, slots=True)
class ExportWanted:
    """What an export is asked to hold."""

    period: Period
    scope: ReportScope
    include_indirect: bool
    columns: Columns
    attribution: Attribution


def begin(session: Session, actor: Actor, wanted: ExportWanted, export_format: ExportFormat, *, at: datetime) -> None:
    """Let the caller take the export out, and note in the record who asked for what, before a byte of it goes out.

    The event says whose hours: the scope, or `own` where the caller has no team.

    Raises RoleNeeded unless an admin asks for `scope=all`.
    """
    included = people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    scope = wanted.scope.value if _has_anyone(session, included) else "own"
    record(session, export_format, wanted, scope=scope, actor=actor, at=at)


def people_of(session: Session, actor: Actor, wanted: ExportWanted) -> ColumnElement[bool]:
    """The condition that a person is in the actor's export: as the scope says, or oneself without a team."""
    included = people_in_report(actor, scope=wanted.scope, include_indirect=wanted.include_indirect)
    return included if _has_anyone(session, included) else USER.c.id == actor.id


def everybody() -> ColumnElement[bool]:
    """The condition that a person is in an export of the operator's."""
    return true()


def team_of(manager_id: int, wanted: ExportWanted) -> ColumnElement[bool]:
    """The condition that a person is in a manager's team."""
    return USER.c.id.in_(visibility.team_ids(manager_id, include_indirect=wanted.include_indirect))


def write(
    session: Session,
    people: ColumnElement[bool],
    wanted: ExportWanted,
    export_format: ExportFormat,
    out: Write,
    *,
    at: datetime,
    on_rows: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the file with the entries of these people, bit by bit, from one snapshot; `on_rows` is told how many more.

    Raises TooManyRows for more than a workbook's sheet has.
    """
    session.may_take(session.settings.EXPORT_TIMEOUT_SECONDS)
    rows = EntryRows(session, resolve(session, wanted.period, clocks_until=at), wanted.attribution, people, at=at)
    _WRITERS[export_format](rows, EXPORT_COLUMNS[wanted.columns], out, on_rows)


def count(session: Session, people: ColumnElement[bool], wanted: ExportWanted) -> int:
    """How many entries of these people belong to the period; with split there may be more rows."""
    belongs = belonging(session, resolve(session, wanted.period), wanted.attribution, people)
    session.may_take(session.settings.EXPORT_TIMEOUT_SECONDS)
    found = select(func.count()).select_from(ENTRY).join(USER, USER.c.id == ENTRY.c.user_id).where(people, belongs)
    return int(session.execute(found).scalar_one())


def record(
    session: Session,
    export_format: ExportFormat,
    wanted: ExportWanted,
    *,
    scope: str,
    actor: Actor | None,
    at: datetime,
) -> None:
    """Note in the record who takes what out; `actor` is None where the operator does."""
    facts = {
        "start_date": wanted.period.start,
        "end_date": wanted.period.end,
        "tz": wanted.period.zone,
        "scope": scope,
        "include_indirect": wanted.include_indirect,
        "columns": wanted.columns,
        "attribution": wanted.attribution,
    }
    actor_id = None if actor is None else actor.id
    recorder.record(session, f"export:{export_format}", at=at, actor_id=actor_id, subject_id=actor_id, after=facts)


def file_name(wanted: ExportWanted, export_format: ExportFormat) -> str:
    """Made of dates alone: nothing that anybody typed reaches a header."""
    ending = {ExportFormat.json: "jsonl"}.get(export_format, export_format.value)
    return f"time_report_{wanted.period.start}_to_{wanted.period.end}.{ending}"


def _has_anyone(session: Session, included: ColumnElement[bool]) -> bool:
    return session.execute(select(USER.c.id).where(included).limit(1)).first() is not None
