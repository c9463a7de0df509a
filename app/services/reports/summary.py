"""Summaries: hours by up to three groups, computed in the database with a constant number of statements.

The statement first adds up by group keys and user, then over the users. The users can then be counted with COUNT(*),
which is faster than COUNT(DISTINCT) because it needs no sort.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, cast, func, literal, select

from app.core.database.dialect import whole_seconds
from app.core.database.session import Session
from app.models.tables import PROJECT, USER, full_name
from app.schemas.reports.summary import Summary, SummaryGroup, SummaryQuery
from app.schemas.types import hours
from app.services.access.actor import Actor
from app.services.calendar.group_keys import CALENDAR_GROUPS, CalendarKeys
from app.services.calendar.periods import MAX_REPORT_DAYS, Period
from app.services.reports.summary_gaps import GroupTotals, Keys, Names, Totals, add_empty_groups, summary_too_large
from app.services.reports.summary_query import summary_segments

MAX_ROWS = 100_000
_USER, _MANAGER = USER.alias("summary_user"), USER.alias("manager")
_NAME_SOURCES: dict[SummaryGroup, tuple[Any, ColumnElement[str]]] = {
    SummaryGroup.user: (_USER, full_name(_USER)),
    SummaryGroup.team: (_MANAGER, full_name(_MANAGER)),
    SummaryGroup.project: (PROJECT, PROJECT.c.name),
}


def summarize(session: Session, actor: Actor, period: Period, query: SummaryQuery, *, at: datetime) -> Summary:
    """Return the hours of the closed entries that the actor may see and that match the filters, by group.

    A team is the current direct reports of a manager and has the manager's name. The name is shown even if the actor
    may not see the manager. Raises PeriodTooLong (over 400 days), SummaryTooLarge (over 100,000 rows).
    """
    period.require_at_most(MAX_REPORT_DAYS)
    calendar = CalendarKeys(period)
    totals_query = _totals_query(
        session, summary_segments(session, actor, period, query, calendar, at=at), query.groups
    )
    totals, names = _load_totals(session, totals_query, query.groups)
    if query.fill and len(totals) <= MAX_ROWS:
        add_empty_groups(session, actor, query, calendar, totals, names, max_rows=MAX_ROWS)
    if len(totals) > MAX_ROWS:
        raise summary_too_large(MAX_ROWS)
    total = sum(each.seconds for each in totals.values())
    return Summary.model_construct(
        start_date=period.start,
        end_date=period.end,
        time_zone=period.zone or actor.time_zone,
        attribution=query.attribution,
        as_of=at,
        group_by=query.groups,
        total_seconds=total,
        total_hours=hours(total),
        needs_review_seconds=sum(each.needs_review_seconds for each in totals.values()),
        rows=list(_rows(query.groups, calendar, totals, names)),
    )


def _totals_query(session: Session, entries: Subquery, groups: list[SummaryGroup]) -> Select[Any]:
    """Return the query for the groups' keys and the fields of GroupTotals."""
    entry_groups = [
        SummaryGroup.user,
        *(group for group in groups if group not in {SummaryGroup.user, SummaryGroup.team}),
    ]
    length = func.sum(entries.c.length)
    sums = length.label("length"), length.filter(entries.c.needs_review).label("review"), func.count().label("entries")
    by_user = select(*entries.c[*entry_groups], *sums).group_by(*entries.c[*entry_groups]).subquery()
    keys = {group: by_user.c[group] for group in entry_groups} | {SummaryGroup.team: _USER.c.manager_id}
    key_columns = [keys[group].label(group) for group in groups]
    totals_query = select(*key_columns).select_from(by_user)
    if SummaryGroup.team in groups:
        totals_query = totals_query.join(_USER, _USER.c.id == by_user.c[SummaryGroup.user])
    if SummaryGroup.user in groups:  # each row is one user already
        return totals_query.add_columns(
            whole_seconds(by_user.c.length), whole_seconds(by_user.c.review), by_user.c.entries, literal(1)
        )
    return totals_query.add_columns(
        whole_seconds(func.sum(by_user.c.length)),
        whole_seconds(func.sum(by_user.c.review)),
        cast(func.sum(by_user.c.entries), BigInteger),
        func.count(),
    ).group_by(*(keys[group] for group in groups))


def _load_totals(session: Session, totals_query: Select[Any], groups: list[SummaryGroup]) -> tuple[Totals, Names]:
    """Return the totals by key, and the names of users, teams and projects. Reads at most MAX_ROWS + 1 rows."""
    grouped = totals_query.subquery()
    statement = select(*grouped.c)
    named_groups = [group for group in groups if group in _NAME_SOURCES]
    for group in named_groups:
        table, name = _NAME_SOURCES[group]
        statement = statement.outerjoin_from(grouped, table, table.c.id == grouped.c[group]).add_columns(name)
    rows = session.execute(statement.limit(MAX_ROWS + 1)).all()
    count = len(groups)
    names: Names = {
        group: {row[groups.index(group)]: row[index] for row in rows}
        for index, group in enumerate(named_groups, count + 4)
    }
    totals = {}
    for row in rows:
        seconds, needs_review_seconds, entries, users = row[count : count + 4]
        totals[tuple(row[:count])] = GroupTotals(seconds, needs_review_seconds or 0, entries, users)
    return totals, names


def _rows(groups: list[SummaryGroup], calendar: CalendarKeys, totals: Totals, names: Names) -> Iterator[Any]:
    """Yield the rows of the response, ordered by their keys, nulls last."""
    fields: list[tuple[str, int, Any]] = []
    for index, group in enumerate(groups):
        if group in CALENDAR_GROUPS:
            fields.append((group.value, index, calendar.labels(group)))
        else:
            fields += [(f"{group}_id", index, None), (f"{group}_name", index, names[group])]
    for keys in sorted(totals, key=_nulls_last if SummaryGroup.team in groups else None):
        row: dict[str, Any] = {
            name: keys[index] if labels is None else labels[keys[index]] for name, index, labels in fields
        }
        seconds, row["needs_review_seconds"], row["entries"], row["users"] = totals[keys]
        row["total_seconds"], row["total_hours"] = seconds, hours(seconds)
        yield row


def _nulls_last(keys: Keys) -> tuple[tuple[bool, int | None], ...]:
    return tuple((key is None, key) for key in keys)
