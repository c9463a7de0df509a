"""Lists of timesheets, single ones, and their history."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_

from app.core.database.session import Session
from app.core.pagination import MAX_ROWS_IN_MEMORY, decode_cursor, encode_cursor
from app.models.tables import AUDIT_EVENT, TIMESHEET, USER
from app.models.timesheets import TimesheetStatus
from app.schemas.audit import TimesheetHistoryItem
from app.schemas.timesheets.timesheet import BlockingEntry, TimesheetDetail, TimesheetFilter, TimesheetRead
from app.schemas.types import FIRST_DAY, LAST_DAY, hours
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.audit.queries import EVENT_WITH_ACTOR, event_fields
from app.services.calendar.periods import Period, PeriodTooLong
from app.services.period_locks import LOCKED
from app.services.timesheets import contents, sheets
from app.services.timesheets.contents import PeriodOfUser
from app.services.timesheets.periods import Rules, load_rules, periods_touching, require_period
from app.services.timesheets.sheets import SHEETS, Owner, Rights, SheetValues

ALL_DAYS = Period(FIRST_DAY, LAST_DAY)
MAX_PERIODS = 400
_Found = Sequence[tuple[SheetValues, Owner]]


def list_own(session: Session, actor: Actor, period: Period, *, at: datetime) -> list[TimesheetRead]:
    """Return the actor's timesheets that touch the days, newest first, also those that were never submitted.

    Raises PeriodTooLong for more than MAX_PERIODS of them.
    """
    rules = load_rules(session)
    periods = []
    for each in periods_touching(rules, period.start, period.end):
        periods.append(each)
        if len(periods) > MAX_PERIODS:
            raise PeriodTooLong(f"More than {MAX_PERIODS} timesheets touch these days. Choose a shorter period.")
    owner = sheets.load_owner(session, actor.id)
    query = select(TIMESHEET).where(TIMESHEET.c.user_id == actor.id, _touches(period))
    submitted = {row.first_day: sheets.values_from(row) for row in session.execute(query)}
    found = [
        (submitted.get(each.first_day) or sheets.unsubmitted(actor.id, each.first_day, each.last_day), owner)
        for each in reversed(periods)
    ]
    return as_responses(session, actor, rules, found, at=at)


def list_visible(
    session: Session,
    actor: Actor,
    filters: TimesheetFilter,
    days: Period,
    *,
    cursor: str | None,
    limit: int,
    at: datetime,
) -> tuple[list[TimesheetRead], str | None]:
    """Return a page of the timesheets of others in sight that touch the days, and the cursor of the next page.

    Those of the status `submitted` come in the order of submission, others with the newest period first. Raises
    InvalidCursor.
    """
    query = SHEETS.where(*_conditions(actor, filters), _touches(days)).limit(limit + 1)
    if filters.status is TimesheetStatus.submitted:
        query = _after_submission(query, cursor)
    else:
        query = _after_first_day(query, cursor)
    rows = session.execute(query).all()
    found = [(sheets.values_from(row), sheets.owner_from(row, row.user_id)) for row in rows[:limit]]
    responses = as_responses(session, actor, load_rules(session), found, at=at)
    if len(rows) <= limit:
        return responses, None
    last = rows[limit - 1]
    key = last.submitted_at.timestamp() if filters.status is TimesheetStatus.submitted else last.first_day.toordinal()
    return responses, encode_cursor(int(key), last.id)


def count_visible(session: Session, actor: Actor, filters: TimesheetFilter, days: Period) -> int:
    """Return the number of timesheets on all pages of `list_visible`."""
    query = select(func.count()).select_from(TIMESHEET).where(*_conditions(actor, filters), _touches(days))
    return int(session.execute(query).scalar_one())


def get(session: Session, actor: Actor, user_id: int, first_day: date, *, at: datetime) -> TimesheetDetail:
    """Return a timesheet of a visible user, with the entries that prevent its submission.

    Raises UserNotFound, TimesheetNotFound.
    """
    rules, owner, sheet = _load_visible(session, actor, user_id, first_day)
    (response,) = as_responses(session, actor, rules, [(sheet, owner)], at=at)
    blocking = []
    if sheet["status"] not in LOCKED:
        blocking = contents.load(session, user_id, sheet["first_day"], sheet["last_day"], at=at).blocking
    entries = [BlockingEntry.model_construct(entry_id=each.entry_id, type=each.reason) for each in blocking]
    return TimesheetDetail.model_construct(**dict(response), blocking_entries=entries[: contents.MAX_NAMED_ENTRIES])


def list_history(session: Session, actor: Actor, user_id: int, first_day: date) -> list[TimesheetHistoryItem]:
    """Return the newest 2,000 events of a timesheet, oldest first. Raises UserNotFound, TimesheetNotFound."""
    _, _, sheet = _load_visible(session, actor, user_id, first_day)
    is_about = and_(
        AUDIT_EVENT.c.object_type == TIMESHEET.name,
        AUDIT_EVENT.c.object_id == sheet["id"],
        AUDIT_EVENT.c.chain_id == user_id,
    )
    newest = EVENT_WITH_ACTOR.where(is_about).order_by(AUDIT_EVENT.c.position.desc()).limit(MAX_ROWS_IN_MEMORY)
    rows = session.execute(newest).all()
    return [TimesheetHistoryItem.model_construct(**event_fields(row)) for row in reversed(rows)]


def as_responses(session: Session, actor: Actor, rules: Rules, found: _Found, *, at: datetime) -> list[TimesheetRead]:
    """Return timesheets as responses. Sums of open and rejected ones are computed, in one statement for all."""
    rights = Rights(session, actor)
    unlocked = [_period_of(sheet) for sheet, _ in found if sheet["status"] not in LOCKED]
    sums = contents.sum_periods(session, unlocked)
    responses = []
    for sheet, owner in found:
        if sheet["status"] in LOCKED:
            total, count = sheet["total_seconds"], sheet["entries"]
        else:
            total, count = (of_period := sums[_period_of(sheet)]).total_seconds, of_period.entries
        values = {name: sheet[name] for name in TimesheetRead.model_fields if name in sheet}
        computed = {
            "user_name": owner.name,
            "period": sheets.kind_of(sheet, rules),
            "time_zone": owner.time_zone,
            "total_seconds": total,
            "total_hours": hours(total),
            "entries": count,
            "can": rights.actions(sheet, owner, at=at),
        }
        responses.append(TimesheetRead.model_construct(**values | computed))
    return responses


def _load_visible(session: Session, actor: Actor, user_id: int, first_day: date) -> tuple[Rules, Owner, SheetValues]:
    owners = sheets.load_owners(session, [user_id], visibility.visible_to(actor, USER.c.id))
    if user_id not in owners:
        raise UserNotFound("There is no user with this id that you may see.")
    rules = load_rules(session)
    return rules, owners[user_id], sheets.load(session, user_id, require_period(rules, first_day))


def _period_of(sheet: SheetValues) -> PeriodOfUser:
    return PeriodOfUser(sheet["user_id"], sheet["first_day"], sheet["last_day"])


def _touches(days: Period) -> ColumnElement[bool]:
    return and_(TIMESHEET.c.last_day >= days.start, TIMESHEET.c.first_day <= days.end)


def _conditions(actor: Actor, filters: TimesheetFilter) -> Iterator[ColumnElement[bool]]:
    yield visibility.may_decide(actor, TIMESHEET.c.user_id)
    if filters.user_id is not None:
        yield TIMESHEET.c.user_id == filters.user_id
    elif not filters.include_indirect:
        yield TIMESHEET.c.user_id.in_(visibility.team_ids(actor.id, include_indirect=False))
    if filters.status is not None:
        yield TIMESHEET.c.status == filters.status


def _after_submission(query: Select[Any], cursor: str | None) -> Select[Any]:
    order = (TIMESHEET.c.submitted_at, TIMESHEET.c.id)
    if cursor is not None:
        second, sheet_id = decode_cursor(cursor, 2)
        last = tuple_(datetime.fromtimestamp(second, UTC), sheet_id, types=[column.type for column in order])
        query = query.where(tuple_(*order) > last)
    return query.order_by(*order)


def _after_first_day(query: Select[Any], cursor: str | None) -> Select[Any]:
    order = (TIMESHEET.c.first_day, TIMESHEET.c.id)
    if cursor is not None:
        day, sheet_id = decode_cursor(cursor, 2)
        last = tuple_(_date_of(day), sheet_id, types=[column.type for column in order])
        query = query.where(tuple_(*order) < last)
    return query.order_by(*(column.desc() for column in order))


def _date_of(ordinal: int) -> date:
    return date.fromordinal(min(max(ordinal, 1), date.max.toordinal()))
