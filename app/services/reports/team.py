"""Team reports: hours of each user in a period, read with a constant number of statements."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.rows import row_as_json
from app.core.database.session import Session
from app.core.pagination import MAX_ROWS_IN_MEMORY
from app.core.server.spool import Write, json_list, write_chunks
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, OnlyEntries, ReportScope, TeamMemberHours
from app.schemas.types import hours
from app.schemas.users.user import UserRead
from app.services.access.actor import Actor
from app.services.access.visibility import users_in_report
from app.services.calendar.attribution import CountedSeconds, in_period, seconds_by_user
from app.services.calendar.periods import MAX_REPORT_DAYS, Period, ResolvedPeriod, resolve
from app.services.time_entries.columns import ENTRY_COLUMNS, PROJECT_COLUMNS, EntryRows
from app.services.time_entries.entries import only_clause

EntryJson = tuple[int, int | None, bool, str]
"""The user id, the seconds (None if open), `needs_review` and the TimeEntryWithProject JSON of an entry."""


@dataclass(frozen=True, slots=True)
class TeamReportQuery:
    """The filters of a team report."""

    period: Period
    attribution: Attribution
    scope: ReportScope
    include_indirect: bool
    include_entries: bool
    only: OnlyEntries | None = None


def team_report(session: Session, actor: Actor, query: TeamReportQuery, *, at: datetime) -> bytes | None:
    """Return the seconds of each user's closed entries in the period, as a JSON list of TeamMemberHours ordered by id.

    With `include_entries`, the entries are listed too, oldest first. Open entries are listed but not counted. Return
    None if there are more than MAX_ROWS_IN_MEMORY users or entries; `write_team_report` writes any number of them.
    Raises RoleRequired (scope), PeriodTooLong (over 400 days with entries).
    """
    is_included = _users(actor, query)
    resolved = resolve(session, query.period, is_included)
    users = session.execute(_user_query(is_included).limit(MAX_ROWS_IN_MEMORY + 1)).all()
    if len(users) > MAX_ROWS_IN_MEMORY or _has_many_to_split(session, query, resolved, is_included):
        return None
    entries = list(_entries_as_json(session, query, resolved, is_included, at=at, limit=MAX_ROWS_IN_MEMORY + 1))
    if len(entries) > MAX_ROWS_IN_MEMORY:
        return None
    seconds = _add_up(entries) if query.include_entries else _seconds_by_user(session, query, resolved, is_included)
    return b"".join(_json_chunks(users, seconds, entries))


def write_team_report(session: Session, actor: Actor, query: TeamReportQuery, out: Write, *, at: datetime) -> None:
    """Write what `team_report` returns, row by row. The seconds are added up in the database first."""
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    is_included = _users(actor, query)
    resolved = resolve(session, query.period, is_included)
    seconds = _seconds_by_user(session, query, resolved, is_included)
    # Always closed: on SQLite an unfinished result keeps the snapshot of the connection.
    with session.execute(_user_query(is_included), execution_options={"yield_per": FETCH_SIZE}) as users:
        entries = _entries_as_json(session, query, resolved, is_included, at=at)
        write_chunks(_json_chunks(users, seconds, entries), out)


def _users(actor: Actor, query: TeamReportQuery) -> ColumnElement[bool]:
    is_included = users_in_report(actor, scope=query.scope, include_indirect=query.include_indirect)
    if query.include_entries:
        query.period.require_at_most(MAX_REPORT_DAYS)
    return is_included


def _has_many_to_split(
    session: Session, query: TeamReportQuery, resolved: ResolvedPeriod, is_included: ColumnElement[bool]
) -> bool:
    """Return True if more than MAX_ROWS_IN_MEMORY entries must be split. The database splits all before the first."""
    if not query.include_entries or query.attribution is Attribution.at_start:
        return False
    may_be_split = in_period(session, resolved, query.attribution, is_included) & only_clause(query.only, ENTRY)
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(is_included))
    statement = select(ENTRY.c.id).where(of_users, may_be_split).limit(MAX_ROWS_IN_MEMORY + 1)
    return len(session.execute(statement).all()) > MAX_ROWS_IN_MEMORY


def _seconds_by_user(
    session: Session, query: TeamReportQuery, resolved: ResolvedPeriod, is_included: ColumnElement[bool]
) -> dict[int, CountedSeconds]:
    return seconds_by_user(session, resolved, query.attribution, is_included, only_clause(query.only, ENTRY))


def _user_query(is_included: ColumnElement[bool]) -> Select[Any]:
    return select(*(USER.c[name] for name in UserRead.model_fields)).where(is_included).order_by(USER.c.id)


def _add_up(entries: Iterable[EntryJson]) -> dict[int, CountedSeconds]:
    """Return the same as `seconds_by_user`, from entries that were read already."""
    seconds: dict[int, CountedSeconds] = {}
    for user_id, length, needs_review, _ in entries:
        total, in_review = seconds.get(user_id, CountedSeconds())
        counted = length or 0  # an open entry is not counted
        seconds[user_id] = CountedSeconds(total + counted, in_review + (counted if needs_review else 0))
    return seconds


def _json_chunks(
    users: Iterable[Row[Any]], seconds: dict[int, CountedSeconds], entries: Iterable[EntryJson]
) -> Iterator[bytes]:
    """Yield the chunks of the JSON list. Users and entries must be ordered by user id."""
    entries_by_user = groupby(entries, key=itemgetter(0))
    user_id, user_entries = next(entries_by_user, (None, iter(())))
    separator = b"["
    for user in users:
        yield separator + _member_as_json(user, seconds.get(user.id, CountedSeconds())).removesuffix(b"[]}")
        separator = b","
        if user.id == user_id:
            yield from json_list(text.encode() for *_, text in user_entries)
            user_id, user_entries = next(entries_by_user, (None, iter(())))
        else:
            yield b"[]"
        yield b"}"
    yield b"]" if separator == b"," else b"[]"


def _member_as_json(user: Row[Any], seconds: CountedSeconds) -> bytes:
    member = TeamMemberHours.model_construct(
        employee=UserRead.model_construct(**user._mapping),
        total_seconds=seconds.total,
        total_hours=hours(seconds.total),
        needs_review_seconds=seconds.needs_review,
        entries=[],
    )
    return member.model_dump_json().encode()


def _entries_as_json(
    session: Session,
    query: TeamReportQuery,
    resolved: ResolvedPeriod,
    is_included: ColumnElement[bool],
    *,
    at: datetime,
    limit: int | None = None,
) -> Iterator[EntryJson]:
    """Yield the entries, ordered by user and start, or none without `include_entries`.

    The database renders the JSON, because model objects would be too slow for the entries of a team in one year.
    """
    if not query.include_entries:
        return iter(())
    rows = EntryRows(session, resolved, query.attribution, is_included, at=at, only=query.only)
    entry = row_as_json(rows, ENTRY_COLUMNS, project=row_as_json(rows, PROJECT_COLUMNS))
    return chain.from_iterable(
        rows.stream(rows.entry.user_id, rows.seconds, rows.entry.needs_review, entry, limit=limit)
    )
