"""Team reports and personal reports: hours in a period, read with a constant number of statements."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, PersonalReport, PersonalReportDay, ReportScope, TeamMemberHours
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.types import hours
from app.schemas.users.user import UserRead
from app.services.access.actor import Actor
from app.services.access.visibility import users_in_report
from app.services.calendar.attribution import in_period, seconds_by_user, split_by_day
from app.services.calendar.periods import MAX_REPORT_DAYS, Period, resolve
from app.services.time_entries.columns import ENTRY_COLUMNS, PROJECT_COLUMNS, EntryRows, row_as_json
from app.services.time_entries.entries import ENTRY_WITH_PROJECT, as_response_with_project


def team_report(
    session: Session,
    actor: Actor,
    period: Period,
    *,
    attribution: Attribution,
    scope: ReportScope,
    include_indirect: bool,
    include_entries: bool,
    at: datetime,
) -> bytes:
    """Return the seconds of each user's closed entries in the period, as a JSON list of TeamMemberHours ordered by id.

    With `include_entries`, the entries are listed too, oldest first. Open entries are listed but not counted. Raises
    RoleRequired (scope), PeriodTooLong (over 400 days with entries).
    """
    is_included = users_in_report(actor, scope=scope, include_indirect=include_indirect)
    users = session.execute(
        select(*(USER.c[name] for name in UserRead.model_fields)).where(is_included).order_by(USER.c.id)
    ).all()
    resolved, entries = resolve(session, period), dict[int, bytes]()
    if include_entries:
        period.require_at_most(MAX_REPORT_DAYS)
        seconds = {}
        entry_rows = _entries_as_json(EntryRows(session, resolved, attribution, is_included, at=at))
        for user_id, rows in groupby(entry_rows, key=itemgetter(0)):
            user_rows = list(rows)
            seconds[user_id] = sum(length or 0 for _, length, _ in user_rows)
            entries[user_id] = ",".join(text for *_, text in user_rows).encode()
    else:
        seconds = seconds_by_user(session, resolved, attribution, is_included)
    members = (_member_as_json(user, seconds.get(user.id, 0), entries.get(user.id, b"")) for user in users)
    return b"[%b]" % b",".join(members)


def _member_as_json(user: Row[Any], seconds: int, entries: bytes) -> bytes:
    member = TeamMemberHours.model_construct(
        employee=UserRead.model_construct(**user._mapping),
        total_seconds=seconds,
        total_hours=hours(seconds),
        entries=[],
    )
    return b"%b[%b]}" % (member.model_dump_json().removesuffix("[]}").encode(), entries)


def _entries_as_json(rows: EntryRows) -> Iterator[tuple[int, int | None, str]]:
    """Yield the user id, the seconds (None if open) and the TimeEntryWithProject JSON of each entry.

    The database renders the JSON, because model objects would be too slow for the entries of a team in one year.
    """
    entry = row_as_json(rows, ENTRY_COLUMNS, project=row_as_json(rows, PROJECT_COLUMNS))
    return chain.from_iterable(rows.stream(rows.entry.user_id, rows.seconds, entry))


def personal_report(
    session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime
) -> PersonalReport:
    """Return the actor's hours for every day of the period. Raises PeriodTooLong (over 400 days)."""
    period.require_at_most(MAX_REPORT_DAYS)
    days = user_days(session, actor.id, period, attribution=attribution, at=at)
    total = sum(day.total_seconds for day in days)
    return PersonalReport.model_construct(
        start_date=period.start,
        end_date=period.end,
        time_zone=period.zone or actor.time_zone,
        attribution=attribution,
        as_of=at,
        total_seconds=total,
        total_hours=hours(total),
        days=days,
    )


def user_days(
    session: Session, user_id: int, period: Period, *, attribution: Attribution, at: datetime
) -> list[PersonalReportDay]:
    """Return a user's hours for every day of the period. The calling function must check visibility."""
    by_day: dict[date, list[TimeEntryWithProject]] = defaultdict(list)
    entries = _load_entries(session, period, attribution, USER.c.id == user_id, at=at)
    for day, segment in split_by_day(entries, period, attribution):
        by_day[day].append(segment)
    count = (period.end - period.start).days + 1
    return [_own_day(day, by_day[day]) for day in (period.start + timedelta(days=number) for number in range(count))]


def _own_day(day: date, entries: list[TimeEntryWithProject]) -> PersonalReportDay:
    """Return the totals of one day. A break is the time between the end of an entry and the start of the next one."""
    seconds = _total_seconds(entries)
    breaks, last_end = timedelta(), None
    for entry in entries:
        if last_end is not None:
            breaks += max(entry.start_time - last_end, timedelta())
        if entry.end_time is not None:
            last_end = entry.end_time if last_end is None else max(last_end, entry.end_time)
    return PersonalReportDay.model_construct(
        date=day,
        total_seconds=seconds,
        total_hours=hours(seconds),
        first_start=entries[0].start_time if entries else None,
        last_end=last_end,
        break_seconds=int(breaks.total_seconds()),
        entries=entries,
    )


def _load_entries(
    session: Session, period: Period, attribution: Attribution, users: ColumnElement[bool], *, at: datetime
) -> Iterable[TimeEntryWithProject]:
    """Yield the users' entries that belong to the period, ordered by user and start."""
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    rows = session.execute(
        ENTRY_WITH_PROJECT.where(of_users, in_period(session, resolve(session, period), attribution, users)).order_by(
            ENTRY.c.user_id, ENTRY.c.start_time, ENTRY.c.id
        )
    ).all()  # reads to the end, because on SQLite an unfinished result keeps the snapshot of the connection
    return (as_response_with_project(session, row, now=at) for row in rows)


def _total_seconds(entries: list[TimeEntryWithProject]) -> int:
    lengths = (entry.end_time - entry.start_time for entry in entries if entry.end_time is not None)
    return int(sum(lengths, timedelta()).total_seconds())
