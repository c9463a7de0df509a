"""The stretches of time that an export has a row for, inside a statement: whole entries, or their parts by local day.

The same parts as `attribution.cut` gives, of which it is the description in plain code.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    case,
    literal,
    or_,
    select,
    true,
    type_coerce,
)

from app.core.database.dialect import earliest, epoch, from_epoch, latest, numbers_to, seconds_between
from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.services.calendar.attribution import belonging, ends_of
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, ResolvedPeriod


@dataclass(frozen=True, slots=True)
class Stretches:
    """Rows that each are an entry, or what of it lies inside one local day."""

    entry: FromClause
    """Where the entry's columns stand."""
    start: ColumnElement[datetime]
    end: ColumnElement[datetime]
    seconds: ColumnElement[int]
    belongs: ColumnElement[bool]
    """The condition that a row counts."""


def stretches(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, people: ColumnElement[bool]
) -> Stretches:
    """The stretches of entries that belong to the period. As `belonging`, they are not restricted to `people`: the
    caller's statement does that."""
    belongs = belonging(session, resolved, attribution, people)
    if attribution is Attribution.at_start:
        start, end = ENTRY.c.start_time, ENTRY.c.end_time
        return Stretches(ENTRY, start, end, seconds_between(start, end), belongs)
    local = LocalTime(resolved)
    of_people = ENTRY.c.user_id.in_(select(USER.c.id).where(people))
    inside = _inside(resolved, and_(of_people, belongs))
    parts = _parts(resolved.period, _with_days(inside, local), local)
    begins, ends = (from_epoch(parts.c[name]) for name in ("part_start", "part_end"))
    return Stretches(parts, begins, ends, parts.c.part_end - parts.c.part_start, true())


# Each step below stands in a subquery of its own, with an OFFSET that keeps the planner from merging it into the next:
# expressions that hold one another many times over would outgrow any statement.


def _inside(resolved: ResolvedPeriod, belongs: ColumnElement[bool]) -> Subquery:
    """The entries with what of them lies inside the period. One without length, or without an end, lies there whole."""
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    first, after = ends_of(resolved)
    is_whole = or_(end.is_(None), end == start)
    is_inside = case(
        (is_whole, and_(start < after, or_(end.is_(None), start >= first))),
        else_=and_(start < after, end > first),
    )
    begins = epoch(latest(start, first))
    found = select(
        ENTRY,
        is_whole.label("is_whole"),
        epoch(start).label("start"),
        epoch(end).label("end"),
        begins.label("begins"),
        case((is_whole, begins), else_=epoch(earliest(end, after)) - 1).label("last"),
    )
    return _apart(found.where(belongs, is_inside).order_by(ENTRY.c.user_id), "inside")


def _with_days(inside: Subquery, local: LocalTime) -> Subquery:
    """The same with the first and the last local day, in days since 1970."""
    local = local.of_zone(inside.c.time_zone)
    days = (local.day(inside.c.begins).label("first_day"), local.day(inside.c.last).label("last_day"))
    return _apart(select(inside, *days), "with_days")


def _parts(period: Period, entries: Subquery, local: LocalTime) -> Subquery:
    """A row for each of the days, with the part of the entry inside it."""
    local = local.of_zone(entries.c.time_zone)
    days = (period.end - period.start).days + 1
    numbers = numbers_to(entries.c.last_day - entries.c.first_day, at_most=days)
    day = entries.c.first_day + type_coerce(numbers.c.value, BigInteger)
    begins = case((entries.c.is_whole, entries.c.start), else_=latest(entries.c.begins, local.begins(day)))
    ends = case((entries.c.is_whole, entries.c.end), else_=earliest(entries.c.last + 1, local.begins(day + 1)))
    columns = [entries.c[column.name] for column in ENTRY.c]
    every = select(*columns, entries.c.is_whole, begins.label("part_start"), ends.label("part_end"))
    cut = _apart(every.select_from(entries.join(numbers, true())), "cut")
    has_length = or_(cut.c.is_whole, cut.c.part_end > cut.c.part_start)  # a day that the zone left out has none
    return _apart(select(cut).where(has_length), "parts")


def _apart(statement: Select[Any], name: str) -> Subquery:
    return statement.offset(literal(0, Integer)).subquery(name)
