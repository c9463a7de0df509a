"""To-do list: entries that run for too long, entries to review, periods to submit, timesheets to decide on.

The statements take a condition over USER, so that reminders read the same lists for other users.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
)

from app.core.database.session import Session
from app.core.time.zones import local_day, zone_names
from app.models.tables import ENTRY, PROJECT, TIMESHEET, USER, full_name
from app.models.timesheets import TimesheetStatus
from app.schemas.timesheets.timesheet import TimesheetFilter
from app.schemas.timesheets.todo import MAX_ITEMS, Todo, TodoEntry
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.calendar.local_time import days_since_1970
from app.services.period_locks import LOCKED
from app.services.timesheets import contents, queries, sheets
from app.services.timesheets.periods import Rules, TimesheetPeriod, load_rules, periods_touching
from app.services.timesheets.sheets import OVER_SINCE, SheetValues

SUBMIT_WITHIN = timedelta(days=400)
"""Periods that ended longer ago are not listed."""
_TOTAL = func.count().over().label("total")
_ENTRIES = (
    select(
        ENTRY.c.id.label("entry_id"),
        *ENTRY.c["user_id", "project_id", "start_time", "end_time", "time_zone"],
        full_name(USER).label("user_name"),
        PROJECT.c.name.label("project_name"),
    )
    .join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
    .join(PROJECT, PROJECT.c.id == ENTRY.c.project_id)
    .order_by(ENTRY.c.start_time, ENTRY.c.id)
)


def load(session: Session, actor: Actor, *, include_indirect: bool, at: datetime) -> Todo:
    """Return what the actor has to do, and what the actor's team has to do. With `include_indirect`, all in sight."""
    users = _users(actor, include_indirect=include_indirect)
    running, running_total = _first(session, running_long(session, users, at=at))
    review, review_total = _first(session, to_review(users))
    rules = load_rules(session)
    unsubmitted: Sequence[Row[Any]] = []
    unsubmitted_total = 0
    if periods := periods_over(rules, at=at):
        unsubmitted, unsubmitted_total = _first(session, to_submit(session, users, periods, at=at))
    found = [(sheet_from(row), sheets.owner_from(row, row.owner_id)) for row in unsubmitted]
    waiting = TimesheetFilter(TimesheetStatus.submitted, include_indirect=include_indirect)
    decide, _ = queries.list_visible(session, actor, waiting, queries.ALL_DAYS, cursor=None, limit=MAX_ITEMS, at=at)
    return Todo.model_construct(
        as_of=at,
        running_long=[_entry_from(row) for row in running],
        running_long_total=running_total,
        to_review=[_entry_from(row) for row in review],
        to_review_total=review_total,
        to_submit=queries.as_responses(session, actor, rules, found, at=at),
        to_submit_total=unsubmitted_total,
        to_decide=decide,
        to_decide_total=queries.count_visible(session, actor, waiting, queries.ALL_DAYS),
    )


def running_long(session: Session, users: ColumnElement[bool], *, at: datetime) -> Select[Any]:
    """Return the statement for the users' entries that are open for longer than STALE_ENTRY_HOURS."""
    stale = at - timedelta(hours=session.settings.STALE_ENTRY_HOURS)
    return _ENTRIES.where(users, ENTRY.c.end_time.is_(None), ENTRY.c.start_time < stale)


def to_review(users: ColumnElement[bool]) -> Select[Any]:
    """Return the statement for the users' closed entries that are flagged for review."""
    return _ENTRIES.where(users, ENTRY.c.needs_review, ENTRY.c.end_time.is_not(None))


def periods_over(rules: Rules, *, at: datetime) -> list[TimesheetPeriod]:
    """Return the periods that ended within SUBMIT_WITHIN, or will end in some time zone soon."""
    day = at.date()
    return list(periods_touching(rules, day - SUBMIT_WITHIN, day))


def to_submit(
    session: Session,
    users: ColumnElement[bool],
    periods: Sequence[TimesheetPeriod],
    *,
    at: datetime,
    over_for: timedelta = timedelta(),
) -> Select[Any]:
    """Return the statement for the users' periods with entries that are not submitted, though they are over.

    `over_for` is a number of days that must have passed since the last day, in the user's present time zone.
    """
    period, starts_in_period = contents.period_table(session, periods, users)
    # LIMIT keeps PostgreSQL from joining all entries with all periods: one index lookup for each user and period.
    is_included = and_(ENTRY.c.user_id == USER.c.id, starts_in_period)
    entry = select(ENTRY.c.id).where(is_included).limit(1).correlate(USER, period).scalar_subquery()
    is_over = period.c.to_day + over_for.days < _present_day(at - OVER_SINCE)
    is_same = and_(TIMESHEET.c.user_id == USER.c.id, TIMESHEET.c.first_day == period.c.first_day)
    sheet_columns: list[Column[Any]] = [*TIMESHEET.c]
    statement = (
        select(
            *sheet_columns,
            USER.c.id.label("owner_id"),
            period.c.first_day.label("period_first_day"),
            period.c.last_day.label("period_last_day"),
        )
        .join_from(USER, period, is_over)
        .outerjoin(TIMESHEET, is_same)
        .where(
            users,
            or_(TIMESHEET.c.id.is_(None), TIMESHEET.c.status.not_in(LOCKED)),
            entry.is_not(None),
        )
        .order_by(period.c.first_day, USER.c.id)
    )
    return sheets.with_owner(statement)


def sheet_from(row: Row[Any]) -> SheetValues:
    """Return the timesheet of a row of `to_submit`, which has no row before the first submission."""
    if row.id is not None:
        return sheets.values_from(row)
    return sheets.unsubmitted(row.owner_id, row.period_first_day, row.period_last_day)


def _users(actor: Actor, *, include_indirect: bool) -> ColumnElement[bool]:
    if include_indirect:
        return visibility.visible_to(actor, USER.c.id)
    return or_(USER.c.id == actor.id, USER.c.id.in_(visibility.team_ids(actor.id, include_indirect=False)))


def _first(session: Session, statement: Select[Any]) -> tuple[Sequence[Row[Any]], int]:
    """Return the first rows of the statement, and the number of all."""
    rows = session.execute(statement.add_columns(_TOTAL).limit(MAX_ITEMS)).all()
    return rows, rows[0].total if rows else 0


def _entry_from(row: Row[Any]) -> TodoEntry:
    return TodoEntry.model_construct(**{name: row._mapping[name] for name in TodoEntry.model_fields})


def _present_day(at: datetime) -> ColumnElement[int]:
    """Return the local day at this instant in the user's present time zone, in days since 1970.

    There are two or three such days on earth. A zone that this version does not know counts as UTC.
    """
    second = int(at.timestamp())
    zones_by_day: dict[int, list[str]] = defaultdict(list)
    for zone in sorted(zone_names()):
        zones_by_day[days_since_1970(local_day(second, zone))].append(zone)
    in_utc = days_since_1970(at.date())
    elsewhere = ((USER.c.time_zone.in_(zones), day) for day, zones in zones_by_day.items() if day != in_utc)
    return case(
        *((is_there, literal(day, BigInteger)) for is_there, day in elsewhere), else_=literal(in_utc, BigInteger)
    )
