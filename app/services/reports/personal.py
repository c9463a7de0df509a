"""The personal report: a user's own hours for every day of a period, with the entries as JSON."""

from collections.abc import Iterator
from datetime import datetime

from app.core.database.session import Session
from app.core.pagination import MAX_OWN_ROWS
from app.core.server.spool import Write, write_chunks
from app.schemas.reports.report import Attribution, PersonalReport, PersonalReportDay
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.types import hours
from app.services.access.actor import Actor
from app.services.calendar.periods import MAX_REPORT_DAYS, Period
from app.services.reports.user_days import MAX_ENTRIES, TooManyEntries, UserDay, user_days


def personal_report(
    session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime
) -> bytes | None:
    """Return the actor's hours for every day of the period, as the JSON of a PersonalReport.

    Return None if there are more than MAX_OWN_ROWS entries; `write_personal_report` writes up to MAX_ENTRIES.
    Raises PeriodTooLong (over 400 days).
    """
    try:
        chunks = _json_chunks(session, actor, period, attribution=attribution, at=at, max_entries=MAX_OWN_ROWS)
        return b"".join(chunks)
    except TooManyEntries:
        return None


def write_personal_report(
    session: Session, actor: Actor, period: Period, out: Write, *, attribution: Attribution, at: datetime
) -> None:
    """Write what `personal_report` returns. Raises TooManyEntries, and writes nothing then."""
    write_chunks(_json_chunks(session, actor, period, attribution=attribution, at=at, max_entries=MAX_ENTRIES), out)


def _json_chunks(
    session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime, max_entries: int
) -> Iterator[bytes]:
    period.require_at_most(MAX_REPORT_DAYS)
    days = user_days(session, actor.id, period, _entry_as_json, attribution=attribution, at=at, max_entries=max_entries)
    total = sum(day.total_seconds for day in days)
    report = PersonalReport.model_construct(
        start_date=period.start,
        end_date=period.end,
        time_zone=period.zone or actor.time_zone,
        attribution=attribution,
        as_of=at,
        total_seconds=total,
        total_hours=hours(total),
        needs_review_seconds=sum(day.needs_review_seconds for day in days),
        days=[],
    )
    yield report.model_dump_json().removesuffix("]}").encode()
    for number, day in enumerate(days):
        yield b"," if number else b""
        yield _day_as_json(day)
        day.entries.clear()
    yield b"]}"


def _entry_as_json(entry: TimeEntryWithProject) -> bytes:
    return entry.model_dump_json().encode()


def _day_as_json(day: UserDay[bytes]) -> bytes:
    values = PersonalReportDay.model_construct(
        date=day.date,
        total_seconds=day.total_seconds,
        total_hours=hours(day.total_seconds),
        needs_review_seconds=day.needs_review_seconds,
        first_start=day.first_start,
        last_end=day.last_end,
        break_seconds=day.break_seconds,
        entries=[],
    )
    return b"%b%b]}" % (values.model_dump_json().removesuffix("]}").encode(), b",".join(day.entries))
