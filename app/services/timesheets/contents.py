"""The entries of periods: sums, what prevents submission, and the digest that proves later what was approved.

An entry counts whole to the period in which its local start day lies, in its own time zone. So each entry is in exactly
one period.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnClause,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    Row,
    Select,
    and_,
    cast,
    column,
    func,
    select,
    values,
)

from app.core.database.column_types import Instant
from app.core.database.dialect import seconds_between
from app.core.database.session import Session
from app.core.security.hash_chain import canonical_json
from app.models.tables import ENTRY, USER
from app.services.audit.recorder import to_json_value
from app.services.calendar.local_time import LocalTime, days_since_1970
from app.services.calendar.periods import Period, resolve, starts_within
from app.services.time_entries.entries import needs_review
from app.services.timesheets.periods import TimesheetPeriod

MAX_NAMED_ENTRIES = 100
"""Entries named by an error or a response as those that prevent a submission."""
DIGEST_VERSION = 1
"""The first item of the digested list. Another content of the list gets another number."""
MARGIN = timedelta(days=2)
"""A local day begins less than two days before or after the same day in UTC."""
_BOUNDS: tuple[ColumnClause[Any], ...] = (
    column("lower", Instant),
    column("upper", Instant),
    column("from_day", BigInteger),
    column("to_day", BigInteger),
)
"""Columns of a VALUES table of periods: instants by which an index finds entries, and local days since 1970."""
_DIGESTED = ("id", "project_id", "start_time", "end_time", "time_zone", "description")
_SECONDS = cast(func.coalesce(func.sum(seconds_between(ENTRY.c.start_time, ENTRY.c.end_time)), 0), BigInteger)
_ENTRIES = select(*ENTRY.c[(*_DIGESTED, "needs_review")]).order_by(ENTRY.c.start_time, ENTRY.c.id)


class Blocking(NamedTuple):
    """An entry that prevents the submission of its period, and why."""

    entry_id: int
    reason: Literal["open", "needs_review"]


@dataclass(frozen=True, slots=True)
class Contents:
    """The entries of a user's period, and the condition that selects them. Open ones count 0 seconds."""

    is_included: ColumnElement[bool]
    entries: int
    total_seconds: int
    digest: str
    blocking: list[Blocking]


@dataclass(frozen=True, slots=True)
class Sums:
    entries: int = 0
    total_seconds: int = 0


class PeriodOfUser(NamedTuple):
    user_id: int
    first_day: date
    last_day: date


def load(session: Session, user_id: int, first_day: date, last_day: date, *, at: datetime) -> Contents:
    """Read the entries of a user's period."""
    is_included = in_days(session, user_id, first_day, last_day)
    rows = session.execute(_ENTRIES.where(is_included)).all()
    return Contents(
        is_included=is_included,
        entries=len(rows),
        total_seconds=sum(int((row.end_time - row.start_time).total_seconds()) for row in rows if row.end_time),
        digest=digest(user_id, first_day, last_day, rows),
        blocking=[
            Blocking(row.id, "open" if row.end_time is None else "needs_review")
            for row in rows
            if row.end_time is None or needs_review(session, row.needs_review, row.start_time, row.end_time, now=at)
        ],
    )


def in_days(session: Session, user_id: int, first_day: date, last_day: date) -> ColumnElement[bool]:
    """Return the condition that an entry is the user's and starts on one of these local days."""
    resolved = resolve(session, Period(first_day, last_day), USER.c.id == user_id)
    return and_(ENTRY.c.user_id == user_id, starts_within(resolved))


def digest(user_id: int, first_day: date, last_day: date, entries: Iterable[Row[Any]]) -> str:
    """Return the SHA-256 of a period with its entries, which are ordered by start and id.

    The digested text is canonical JSON (RFC 8785) of the list `[1, user_id, first_day, last_day, entries]`. An entry is
    the list of id, project_id, start, end, time_zone and description. Instants are in UTC, as in the audit log.
    """
    listed = [[to_json_value(getattr(entry, name)) for name in _DIGESTED] for entry in entries]
    content = [DIGEST_VERSION, user_id, to_json_value(first_day), to_json_value(last_day), listed]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def sum_periods(session: Session, periods: Collection[PeriodOfUser]) -> dict[PeriodOfUser, Sums]:
    """Return the sums of periods of any users. Open entries count as entries, with 0 seconds."""
    if not periods:
        return {}
    ordered = sorted(periods)
    span = Period(min(each.first_day for each in ordered), max(each.last_day for each in ordered))
    users = {each.user_id for each in ordered}
    local = LocalTime(resolve(session, span, USER.c.id.in_(users)))
    period = (
        values(column("number", Integer), column("user_id", Integer), *_BOUNDS)
        .data([(n, each.user_id, *_bounds(each.first_day, each.last_day)) for n, each in enumerate(ordered)])
        .cte("period")
    )
    is_included = and_(ENTRY.c.user_id == period.c.user_id, _starts_in(period, local))
    query = select(period.c.number, func.count(), _SECONDS).join_from(period, ENTRY, is_included)
    found = {
        number: Sums(count, int(total)) for number, count, total in session.execute(query.group_by(period.c.number))
    }
    return {each: found.get(number, Sums()) for number, each in enumerate(ordered)}


def sums_of_users(session: Session, periods: Sequence[TimesheetPeriod], users: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the sums of these periods, oldest first, for each user who has entries in them.

    Its columns are user_id, first_day, last_day, entries and total_seconds. `users` is a condition over USER.
    """
    period, is_included = period_table(session, periods, users)
    keys = (ENTRY.c.user_id, period.c.first_day, period.c.last_day)
    sums = select(*keys, func.count().label("entries"), _SECONDS.label("total_seconds"))
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    return sums.join_from(period, ENTRY, is_included).where(of_users).group_by(*keys)


def period_table(
    session: Session, periods: Sequence[TimesheetPeriod], users: ColumnElement[bool]
) -> tuple[CTE, ColumnElement[bool]]:
    """Return a table of the periods, oldest first, and the condition that an entry of these users starts in one.

    Its columns are first_day, last_day and those of _BOUNDS.
    """
    local = LocalTime(resolve(session, Period(periods[0].first_day, periods[-1].last_day), users))
    rows = [(each.first_day, each.last_day, *_bounds(each.first_day, each.last_day)) for each in periods]
    table = values(column("first_day", Date), column("last_day", Date), *_BOUNDS).data(rows).cte("period")
    return table, _starts_in(table, local)


def _bounds(first_day: date, last_day: date) -> tuple[datetime, datetime, int, int]:
    """Return the values of _BOUNDS for a period."""
    lower = datetime.combine(first_day, time.min, UTC) - MARGIN
    upper = datetime.combine(last_day, time.min, UTC) + MARGIN + timedelta(days=1)
    return lower, upper, days_since_1970(first_day), days_since_1970(last_day)


def _starts_in(period: FromClause, local: LocalTime) -> ColumnElement[bool]:
    """Return the condition that an entry starts in a period of a table with the columns _BOUNDS."""
    day = local.day(ENTRY.c.start_time)
    is_near = and_(ENTRY.c.start_time >= period.c.lower, ENTRY.c.start_time < period.c.upper)
    return and_(is_near, day >= period.c.from_day, day <= period.c.to_day)
