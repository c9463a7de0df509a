"""Exports of entries: authorization, the audit event, and the file in one of three formats."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, true

from app.core.database.session import Session
from app.core.server.spool import Write
from app.core.spreadsheet import STANDARD_DIALECT, CsvDialect
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, ExportColumns, ExportFormat, OnlyEntries, ReportScope
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.calendar.attribution import in_period
from app.services.calendar.periods import Period, resolve
from app.services.exports.files import users_in_file, write_file
from app.services.exports.xlsx import UserTotals
from app.services.time_entries.columns import EXPORT_COLUMNS, EntryRows
from app.services.time_entries.entries import only_clause


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """The period, scope, columns and filter of an export, and the dialect of a CSV file."""

    period: Period
    scope: ReportScope
    include_indirect: bool
    columns: ExportColumns
    attribution: Attribution
    dialect: CsvDialect = STANDARD_DIALECT
    only: OnlyEntries | None = None


def authorize(session: Session, actor: Actor, query: ExportQuery, export_format: ExportFormat, *, at: datetime) -> None:
    """Check that the actor may export this scope, and record the export before the first byte is sent.

    The event holds the scope, or `own` if the actor has no team.

    Raises RoleRequired if the scope is `all` and the actor is not an admin.
    """
    scope, _ = users_in_file(session, actor, query.scope, include_indirect=query.include_indirect)
    record_export(session, export_format, query, scope=scope, actor=actor, at=at)


def actor_filter(session: Session, actor: Actor, query: ExportQuery) -> ColumnElement[bool]:
    """Return the condition for users in the actor's export: the scope, or only the actor if they have no team."""
    return users_in_file(session, actor, query.scope, include_indirect=query.include_indirect)[1]


def all_users_filter() -> ColumnElement[bool]:
    """Return the condition for users in an operator's export: all users."""
    return true()


def team_filter(manager_id: int, query: ExportQuery) -> ColumnElement[bool]:
    """Return the condition for users in the manager's team."""
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
    on_needs_review: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the file with the entries of these users in chunks, from one snapshot.

    `on_needs_review` is called before the first byte, with the number of entries in the file that need review.
    `on_rows` is called with the number of rows in each chunk. Raises TooManyRows for more rows than an XLSX sheet has.
    """
    rows = _entry_rows(session, user_filter, query, at=at)
    on_needs_review(rows.count_needing_review())
    columns = EXPORT_COLUMNS[query.columns]
    totals = UserTotals(rows)
    write_file(rows, columns, export_format, out, on_rows, dialect=query.dialect, sheet_name="Entries", totals=totals)


def count_needing_review(
    session: Session, user_filter: ColumnElement[bool], query: ExportQuery, *, at: datetime
) -> int:
    """Count the entries in the file that need review, as `write` does, without making the file."""
    return _entry_rows(session, user_filter, query, at=at).count_needing_review()


def count_entries(session: Session, user_filter: ColumnElement[bool], query: ExportQuery) -> int:
    """Count the entries of these users in the period. With `attribution=split` the export may have more rows."""
    is_included = in_period(session, resolve(session, query.period, user_filter), query.attribution, user_filter)
    is_included &= only_clause(query.only, ENTRY)
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
    """Record the export in the audit log. `actor` is None for the operator."""
    fields = {
        "start_date": query.period.start,
        "end_date": query.period.end,
        "tz": query.period.zone,
        "scope": scope,
        "include_indirect": query.include_indirect,
        "columns": query.columns,
        "attribution": query.attribution,
        "only": query.only,
    }
    actor_id = None if actor is None else actor.id
    recorder.record(session, f"export:{export_format}", at=at, actor_id=actor_id, subject_id=actor_id, after=fields)


def _entry_rows(session: Session, user_filter: ColumnElement[bool], query: ExportQuery, *, at: datetime) -> EntryRows:
    """Return the rows of the file. The statements of this transaction get the time limit of exports."""
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    resolved = resolve(session, query.period, user_filter, now=at)
    return EntryRows(session, resolved, query.attribution, user_filter, at=at, only=query.only)
