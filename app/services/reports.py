"""A team's hours over a period, in a constant number of statements whatever the team's size."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from app.core.db import Session
from app.models.user import Role
from app.schemas.report import Scope, TeamMemberHours
from app.schemas.time_entry import TimeEntryWithProject
from app.schemas.types import hours
from app.schemas.user import UserRead
from app.services import visibility
from app.services.identity import USER, Actor, require_role
from app.services.periods import ENTRY, MAX_REPORT_DAYS, Period, starts_within, unix_seconds
from app.services.time_entries import ENTRY_WITH_PROJECT, read_with_project


def people_in_report(actor: Actor, *, scope: Scope, include_indirect: bool) -> ColumnElement[bool]:
    """The condition that a person is in the actor's report. Raises RoleNeeded for `scope=all` unless an admin asks."""
    if scope is Scope.all:
        require_role(actor, Role.admin)
        return visibility.in_sight(actor, USER.c.id)
    return USER.c.id.in_(visibility.team_ids(actor.id, include_indirect=include_indirect))  # in sight, and no more


def team(
    session: Session,
    actor: Actor,
    period: Period,
    *,
    scope: Scope,
    include_indirect: bool,
    include_entries: bool,
    at: datetime,
) -> list[TeamMemberHours]:
    """Each person's seconds in closed entries that start in the period, by id; with their entries, oldest first.

    Open entries are shown and not counted. Raises RoleNeeded (scope), PeriodTooLong (over 400 days with entries).
    """
    included = people_in_report(actor, scope=scope, include_indirect=include_indirect)
    people = session.execute(
        select(*(USER.c[name] for name in UserRead.model_fields)).where(included).order_by(USER.c.id)
    ).all()
    in_report = ENTRY.c.user_id.in_(select(USER.c.id).where(included)) & starts_within(session, period)
    if include_entries:
        period.at_most(MAX_REPORT_DAYS)
        entries = _entries(session, in_report, at=at)
        seconds = {user_id: _seconds(of_person) for user_id, of_person in entries.items()}
    else:
        entries, seconds = {}, _summed(session, in_report)
    return [
        TeamMemberHours.model_construct(
            employee=UserRead.model_construct(**person._mapping),
            total_seconds=seconds.get(person.id, 0),
            total_hours=hours(seconds.get(person.id, 0)),
            entries=entries.get(person.id, []),
        )
        for person in people
    ]


def _entries(
    session: Session, in_report: ColumnElement[bool], *, at: datetime
) -> dict[int, list[TimeEntryWithProject]]:
    by_person: dict[int, list[TimeEntryWithProject]] = defaultdict(list)
    rows = session.execute(
        ENTRY_WITH_PROJECT.where(in_report).order_by(ENTRY.c.user_id, ENTRY.c.start_time, ENTRY.c.id)
    )
    for row in rows.all():  # a result left half-read would keep an SQLite connection in the past
        by_person[row.user_id].append(read_with_project(session, row, now=at))
    return by_person


def _seconds(entries: list[TimeEntryWithProject]) -> int:
    lengths = (entry.end_time - entry.start_time for entry in entries if entry.end_time is not None)
    return int(sum(lengths, timedelta()).total_seconds())


def _summed(session: Session, in_report: ColumnElement[bool]) -> dict[int, int]:
    """Seconds by person, added up in the database."""
    length = unix_seconds(session, ENTRY.c.end_time) - unix_seconds(session, ENTRY.c.start_time)
    closed = select(ENTRY.c.user_id, func.sum(length)).where(in_report, ENTRY.c.end_time.is_not(None))
    return {user_id: int(total) for user_id, total in session.execute(closed.group_by(ENTRY.c.user_id))}
