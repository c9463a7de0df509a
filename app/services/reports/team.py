"""Hours over a period, of a team and of one person, in a constant number of statements whatever their size."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution, OwnDay, OwnDays, ReportScope, TeamMemberHours
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.types import hours
from app.schemas.users.user import UserRead
from app.services.access.actor import Actor
from app.services.access.visibility import people_in_report
from app.services.calendar.attribution import belonging, parts, seconds_by_person
from app.services.calendar.periods import MAX_REPORT_DAYS, Period, resolve
from app.services.time_entries.columns import ENTRY_COLUMNS, PROJECT_COLUMNS, EntryRows, row_as_json
from app.services.time_entries.entries import ENTRY_WITH_PROJECT, read_with_project


def team(
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
    """Each person's seconds in closed entries that belong to the period, by id; with their entries, oldest first: a
    list of TeamMemberHours as JSON.

    Open entries are shown and not counted. Raises RoleNeeded (scope), PeriodTooLong (over 400 days with entries).
    """
    included = people_in_report(actor, scope=scope, include_indirect=include_indirect)
    people = session.execute(
        select(*(USER.c[name] for name in UserRead.model_fields)).where(included).order_by(USER.c.id)
    ).all()
    resolved, entries = resolve(session, period), dict[int, bytes]()
    if include_entries:
        period.at_most(MAX_REPORT_DAYS)
        seconds = {}
        found = _entries_as_json(EntryRows(session, resolved, attribution, included, at=at))
        for person_id, rows in groupby(found, key=itemgetter(0)):
            of_person = list(rows)
            seconds[person_id] = sum(length or 0 for _, length, _ in of_person)
            entries[person_id] = ",".join(text for *_, text in of_person).encode()
    else:
        seconds = seconds_by_person(session, resolved, attribution, included)
    told = (_as_json(person, seconds.get(person.id, 0), entries.get(person.id, b"")) for person in people)
    return b"[%b]" % b",".join(told)


def _as_json(person: Row[Any], seconds: int, entries: bytes) -> bytes:
    member = TeamMemberHours.model_construct(
        employee=UserRead.model_construct(**person._mapping),
        total_seconds=seconds,
        total_hours=hours(seconds),
        entries=[],
    )
    return b"%b[%b]}" % (member.model_dump_json().removesuffix("[]}").encode(), entries)


def _entries_as_json(rows: EntryRows) -> Iterator[tuple[int, int | None, str]]:
    """The user, the seconds (None while it runs) and the JSON, as of TimeEntryWithProject, of each entry.

    The database writes it: a year of a team has more entries than Python makes objects of in a second.
    """
    entry = row_as_json(rows, ENTRY_COLUMNS, project=row_as_json(rows, PROJECT_COLUMNS))
    return chain.from_iterable(rows.stream(rows.entry.user_id, rows.seconds, entry))


def own_days(session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime) -> OwnDays:
    """The actor's hours day by day, every day of the period. Raises PeriodTooLong (over 400 days)."""
    period.at_most(MAX_REPORT_DAYS)
    days = days_of(session, actor.id, period, attribution=attribution, at=at)
    total = sum(day.total_seconds for day in days)
    return OwnDays.model_construct(
        start_date=period.start,
        end_date=period.end,
        time_zone=period.zone or actor.time_zone,
        attribution=attribution,
        as_of=at,
        total_seconds=total,
        total_hours=hours(total),
        days=days,
    )


def days_of(
    session: Session, person_id: int, period: Period, *, attribution: Attribution, at: datetime
) -> list[OwnDay]:
    """Every day of the period with a person's hours. That somebody may see the person is the caller's to know."""
    by_day: dict[date, list[TimeEntryWithProject]] = defaultdict(list)
    entries = _entries(session, period, attribution, USER.c.id == person_id, at=at)
    for day, part in parts(entries, period, attribution):
        by_day[day].append(part)
    count = (period.end - period.start).days + 1
    return [_own_day(day, by_day[day]) for day in (period.start + timedelta(days=number) for number in range(count))]


def _own_day(day: date, entries: list[TimeEntryWithProject]) -> OwnDay:
    """A day's figures; a break is what lies between the end of one entry and the start of the next."""
    seconds = _seconds(entries)
    breaks, last_end = timedelta(), None
    for entry in entries:
        if last_end is not None:
            breaks += max(entry.start_time - last_end, timedelta())
        if entry.end_time is not None:
            last_end = entry.end_time if last_end is None else max(last_end, entry.end_time)
    return OwnDay.model_construct(
        date=day,
        total_seconds=seconds,
        total_hours=hours(seconds),
        first_start=entries[0].start_time if entries else None,
        last_end=last_end,
        break_seconds=int(breaks.total_seconds()),
        entries=entries,
    )


def _entries(
    session: Session, period: Period, attribution: Attribution, people: ColumnElement[bool], *, at: datetime
) -> Iterable[TimeEntryWithProject]:
    """The people's entries that belong to the period, person by person, oldest first."""
    of_people = ENTRY.c.user_id.in_(select(USER.c.id).where(people))
    rows = session.execute(
        ENTRY_WITH_PROJECT.where(of_people, belonging(session, resolve(session, period), attribution, people)).order_by(
            ENTRY.c.user_id, ENTRY.c.start_time, ENTRY.c.id
        )
    ).all()  # a result left half-read would keep an SQLite connection in the past
    return (read_with_project(session, row, now=at) for row in rows)


def _seconds(entries: list[TimeEntryWithProject]) -> int:
    lengths = (entry.end_time - entry.start_time for entry in entries if entry.end_time is not None)
    return int(sum(lengths, timedelta()).total_seconds())
