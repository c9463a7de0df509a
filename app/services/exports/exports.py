"""Exports of entries for payroll: who takes out what, noted in the record, and the file in one of three formats."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, true

from app.core.database.session import Session
from app.core.server.spool import Write
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, ExportColumns, ExportFormat, ReportScope
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.visibility import users_in_report
from app.services.audit import recorder
from app.services.calendar.attribution import in_period
from app.services.calendar.periods import Period, resolve
from app.services.exports.text_formats import write_csv, write_json_lines
from app.services.exports.xlsx import write_xlsx
from app.services.time_entries.columns import EXPORT_COLUMNS, EntryRows

_WRITERS = {ExportFormat.csv: write_csv, ExportFormat.xlsx: write_xlsx, ExportFormat.json: write_json_lines}


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What an export is asked to hold."""

    period: Period
    scope: ReportScope
    include_indirect: bool
    columns: ExportColumns
    attribution: Attribution


def authorize(session: Session, actor: Actor, query: ExportQuery, export_format: ExportFormat, *, at: datetime) -> None:
    """Let the caller take the export out, and note in the record who asked for what, before a byte of it goes out.

    The event says whose hours: the scope, or `own` where the caller has no team.

    Raises RoleRequired unless an admin asks for `scope=all`.
    """
    user_filter = users_in_report(actor, scope=query.scope, include_indirect=query.include_indirect)
    scope = query.scope.value if _has_users(session, user_filter) else "own"
    record_export(session, export_format, query, scope=scope, actor=actor, at=at)


def actor_filter(session: Session, actor: Actor, query: ExportQuery) -> ColumnElement[bool]:
    """The condition that a person is in the actor's export: as the scope says, or oneself without a team."""
    user_filter = users_in_report(actor, scope=query.scope, include_indirect=query.include_indirect)
    return user_filter if _has_users(session, user_filter) else USER.c.id == actor.id


def all_users_filter() -> ColumnElement[bool]:
    """The condition that a person is in an export of the operator's."""
    return true()


def team_filter(manager_id: int, query: ExportQuery) -> ColumnElement[bool]:
    """The condition that a person is in a manager's team."""
    return USER.c.id.in_(visibility.team_ids(manager_id, include_indirect=query.include_indirect))


def write(
    session: Session,
    user_filter: ColumnElement[bool],
    query: ExportQuery,
    export_format: ExportFormat,
    out: Write,
    *,
    at: datetime,
    on_rows: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the file with the entries of these people, bit by bit, from one snapshot; `on_rows` is told how many more.

    Raises TooManyRows for more than a workbook's sheet has.
    """
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    rows = EntryRows(session, resolve(session, query.period, offsets_until=at), query.attribution, user_filter, at=at)
    _WRITERS[export_format](rows, EXPORT_COLUMNS[query.columns], out, on_rows)


def count_entries(session: Session, user_filter: ColumnElement[bool], query: ExportQuery) -> int:
    """How many entries of these people belong to the period; with split there may be more rows."""
    is_included = in_period(session, resolve(session, query.period), query.attribution, user_filter)
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    statement = (
        select(func.count()).select_from(ENTRY).join(USER, USER.c.id == ENTRY.c.user_id).where(user_filter, is_included)
    )
    return int(session.execute(statement).scalar_one())


def record_export(
    session: Session,
    export_format: ExportFormat,
    query: ExportQuery,
    *,
    scope: str,
    actor: Actor | None,
    at: datetime,
) -> None:
    """Note in the record who takes what out; `actor` is None where the operator does."""
    fields = {
        "start_date": query.period.start,
        "end_date": query.period.end,
        "tz": query.period.zone,
        "scope": scope,
        "include_indirect": query.include_indirect,
        "columns": query.columns,
        "attribution": query.attribution,
    }
    actor_id = None if actor is None else actor.id
    recorder.record(session, f"export:{export_format}", at=at, actor_id=actor_id, subject_id=actor_id, after=fields)


def file_name(query: ExportQuery, export_format: ExportFormat) -> str:
    """Made of dates alone: nothing that anybody typed reaches a header."""
    extension = {ExportFormat.json: "jsonl"}.get(export_format, export_format.value)
    return f"time_report_{query.period.start}_to_{query.period.end}.{extension}"


def _has_users(session: Session, user_filter: ColumnElement[bool]) -> bool:
    return session.execute(select(USER.c.id).where(user_filter).limit(1)).first() is not None
