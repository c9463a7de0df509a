"""The days of one user: totals by local day, and an item for each entry."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Generic, TypeVar

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.session import Session
from app.core.errors import Invalid
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.calendar.attribution import in_period, split_by_day
from app.services.calendar.periods import Period, resolve
from app.services.time_entries.entries import ENTRY_WITH_PROJECT, as_response_with_project

MAX_ENTRIES = 20_000
T = TypeVar("T")
ToItem = Callable[[TimeEntryWithProject], T]
"""Converts an entry or segment to what a day lists. The model itself would take ten times the memory."""


class TooManyEntries(Invalid):
    code = "too_many_entries"
    title = "Too many entries"


@dataclass(slots=True)
class UserDay(Generic[T]):
    """The totals of one day. A break is the time between the end of an entry and the start of the next one."""

    date: date
    total_seconds: int = 0
    needs_review_seconds: int = 0
    first_start: datetime | None = None
    last_end: datetime | None = None
    break_seconds: int = 0
    entries: list[T] = field(default_factory=list)

    def add(self, entry: TimeEntryWithProject, item: T) -> None:
        """Add the next entry, in the order of their starts."""
        if self.last_end is not None:
            self.break_seconds += max(_seconds(self.last_end, entry.start_time), 0)
        if self.first_start is None:
            self.first_start = entry.start_time
        if entry.end_time is not None:
            seconds = _seconds(entry.start_time, entry.end_time)
            self.total_seconds += seconds
            self.needs_review_seconds += seconds if entry.needs_review else 0
            self.last_end = entry.end_time if self.last_end is None else max(self.last_end, entry.end_time)
        self.entries.append(item)


def user_days(
    session: Session,
    user_id: int,
    period: Period,
    to_item: ToItem[T],
    *,
    attribution: Attribution,
    at: datetime,
    max_entries: int = MAX_ENTRIES,
) -> list[UserDay[T]]:
    """Return a user's hours for every day of the period. The calling function must check visibility.

    Raises TooManyEntries if more than `max_entries` entries belong to the period.
    """
    count = (period.end - period.start).days + 1
    days = {day: UserDay[T](day) for day in (period.start + timedelta(days=number) for number in range(count))}
    entries = _stream_entries(session, user_id, period, attribution, at=at)
    try:
        number, last_id = 0, None
        for day, segment in split_by_day(entries, period, attribution, at=at):
            if segment.id != last_id:
                number, last_id = number + 1, segment.id
            if number > max_entries:
                raise TooManyEntries(f"The period has more than {max_entries:,} entries. Send a shorter period.")
            days[day].add(segment, to_item(segment))
    finally:
        entries.close()
    return list(days.values())


def _stream_entries(
    session: Session, user_id: int, period: Period, attribution: Attribution, *, at: datetime
) -> Generator[TimeEntryWithProject]:
    """Yield the user's entries that may belong to the period, ordered by start."""
    is_user = USER.c.id == user_id
    is_included = in_period(session, resolve(session, period, is_user), attribution, is_user)
    query = ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == user_id, is_included)
    query = query.order_by(ENTRY.c.start_time, ENTRY.c.id)
    # Always closed: on SQLite an unfinished result keeps the snapshot of the connection.
    with session.execute(query, execution_options={"yield_per": FETCH_SIZE}) as rows:
        for row in rows:
            yield as_response_with_project(session, row, now=at)


def _seconds(start: datetime, end: datetime) -> int:
    return int((end - start).total_seconds())
