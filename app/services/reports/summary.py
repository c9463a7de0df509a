"""Hours added up by up to three groups, in the database and in a constant number of statements.

A first step adds up by keys and person, a second one over the persons, who are then counted without sorting them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, cast, func, literal, select

from app.core.database.dialect import whole_seconds
from app.core.database.session import Session
from app.models.tables import PROJECT, USER, full_name
from app.schemas.reports.summary import Group, Summary, SummaryWanted
from app.schemas.types import hours
from app.services.access.actor import Actor
from app.services.calendar.group_keys import OF_CALENDAR, CalendarKeys
from app.services.calendar.periods import MAX_REPORT_DAYS, Period
from app.services.reports.summary_gaps import Figures, Keys, Names, fill, too_large
from app.services.reports.summary_query import parts

MAX_ROWS = 100_000
_PERSON, _MANAGER = USER.alias("person"), USER.alias("manager")
_NAMED: dict[Group, tuple[Any, ColumnElement[str]]] = {
    Group.user: (_PERSON, full_name(_PERSON)),
    Group.team: (_MANAGER, full_name(_MANAGER)),
    Group.project: (PROJECT, PROJECT.c.name),
}


def of_groups(session: Session, actor: Actor, period: Period, wanted: SummaryWanted, *, at: datetime) -> Summary:
    """The hours that the actor may see, by group: closed entries only. Filters only narrow.

    A team is its manager's direct reports of today. It has the manager's name, who needn't be in sight: who their
    manager is, everybody knows. Raises PeriodTooLong (over 400 days), SummaryTooLarge (over 100,000 rows).
    """
    period.at_most(MAX_REPORT_DAYS)
    calendar = CalendarKeys(period)
    added_up = _added_up(session, parts(session, actor, period, wanted, calendar), wanted.groups)
    figures, names = _found(session, added_up, wanted.groups)
    if wanted.fill and len(figures) <= MAX_ROWS:
        fill(session, actor, wanted, calendar, figures, names, at_most=MAX_ROWS)
    if len(figures) > MAX_ROWS:
        raise too_large(MAX_ROWS)
    total = sum(seconds for seconds, _, _ in figures.values())
    return Summary.model_construct(
        start_date=period.start,
        end_date=period.end,
        time_zone=period.zone or actor.time_zone,
        attribution=wanted.attribution,
        as_of=at,
        group_by=wanted.groups,
        total_seconds=total,
        total_hours=hours(total),
        rows=list(_rows(wanted.groups, calendar, figures, names)),
    )


def _added_up(session: Session, entries: Subquery, groups: list[Group]) -> Select[Any]:
    """The groups' keys, then seconds, entries and people."""
    own = [Group.user, *(group for group in groups if group not in {Group.user, Group.team})]
    length, count = func.sum(entries.c.length).label("length"), func.count().label("entries")
    by_person = select(*entries.c[*own], length, count).group_by(*entries.c[*own]).subquery()
    keys = {group: by_person.c[group] for group in own} | {Group.team: _PERSON.c.manager_id}
    wanted = [keys[group].label(group) for group in groups]
    added_up = select(*wanted).select_from(by_person)
    if Group.team in groups:
        added_up = added_up.join(_PERSON, _PERSON.c.id == by_person.c[Group.user])
    if Group.user in groups:  # nothing is left to add up
        return added_up.add_columns(whole_seconds(by_person.c.length), by_person.c.entries, literal(1))
    return added_up.add_columns(
        whole_seconds(func.sum(by_person.c.length)),
        cast(func.sum(by_person.c.entries), BigInteger),
        func.count(),
    ).group_by(*(keys[group] for group in groups))


def _found(session: Session, added_up: Select[Any], groups: list[Group]) -> tuple[Figures, Names]:
    """The figures, and the names of what they are of: not many more of them than are answered."""
    grouped = added_up.subquery()
    found = select(*grouped.c)
    named = [group for group in groups if group in _NAMED]
    for group in named:
        table, name = _NAMED[group]
        found = found.outerjoin_from(grouped, table, table.c.id == grouped.c[group]).add_columns(name)
    rows = session.execute(found.limit(MAX_ROWS + 1)).all()
    count = len(groups)
    names: Names = {
        group: {row[groups.index(group)]: row[place] for row in rows} for place, group in enumerate(named, count + 3)
    }
    return {tuple(row[:count]): (row[count], row[count + 1], row[count + 2]) for row in rows}, names


def _rows(groups: list[Group], calendar: CalendarKeys, figures: Figures, names: Names) -> Iterator[Any]:
    """The rows by their keys, nulls last."""
    fields: list[tuple[str, int, Any]] = []
    for place, group in enumerate(groups):
        if group in OF_CALENDAR:
            fields.append((group.value, place, calendar.shown(group)))
        else:
            fields += [(f"{group}_id", place, None), (f"{group}_name", place, names[group])]
    for keys in sorted(figures, key=_nulls_last if Group.team in groups else None):
        row: dict[str, Any] = {
            name: keys[place] if shown is None else shown[keys[place]] for name, place, shown in fields
        }
        row["total_seconds"], row["entries"], row["users"] = figures[keys]
        row["total_hours"] = hours(row["total_seconds"])
        yield row


def _nulls_last(keys: Keys) -> tuple[tuple[bool, int | None], ...]:
    return tuple((key is None, key) for key in keys)
