"""The timesheet: a person's month day by day, for the person and their manager to sign.

Entries are cut at local midnight, so that each day's figures are that day's (rules: T5), as GET /reports/me has them
with `attribution=split`.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, true

from app.core.database.session import Session
from app.models.tables import CHAIN, USER
from app.schemas.reports.report import Attribution, OwnDay
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.audit import recorder
from app.services.calendar.periods import Period
from app.services.reports.team import days_of

_MANAGER = USER.alias("manager")


@dataclass(frozen=True, slots=True)
class Timesheet:
    """One person's month; times in UTC, lengths in whole seconds."""

    person_id: int
    name: str
    email: str
    manager_name: str | None
    month: str
    time_zone: str
    """`time_zone` where it was asked for, else the person's own; entries keep theirs."""
    is_in_one_zone: bool
    """Whether `time_zone` was asked for: then all days are days of it."""
    as_of: datetime
    days: list[OwnDay]
    total_seconds: int
    record_length: int
    record_link: str
    """The head of the person's chain in the record, in the same snapshot as the hours."""


def begin(session: Session, actor: Actor, user_id: int | None, period: Period, *, at: datetime) -> None:
    """Let the actor take the sheet out, their own where no id is given, and note in the record who took whose.

    Raises UserNotFound for a person whom the actor may not see.
    """
    person_id = _whose(actor, user_id)
    visibility.require_in_sight(session, actor, {person_id})
    record(session, person_id, period, actor=actor, at=at)


def record(session: Session, person_id: int, period: Period, *, actor: Actor | None, at: datetime) -> None:
    """Note in the record who takes whose month out; `actor` is None where the operator does."""
    facts = {"user_id": person_id, "month": _month(period), "tz": period.zone}
    actor_id = None if actor is None else actor.id
    recorder.record(session, "export:timesheet", at=at, actor_id=actor_id, subject_id=actor_id, after=facts)


def of(session: Session, actor: Actor, user_id: int | None, period: Period, *, at: datetime) -> Timesheet:
    """The month of somebody whom the actor may see. Raises UserNotFound."""
    return _read(session, _whose(actor, user_id), period, visibility.in_sight(actor, USER.c.id), at=at)


def for_operator(session: Session, person_id: int, period: Period, *, at: datetime) -> Timesheet:
    """Anybody's month, for the operator's commands. Raises UserNotFound."""
    return _read(session, person_id, period, true(), at=at)


def _read(
    session: Session, person_id: int, period: Period, is_in_sight: ColumnElement[bool], *, at: datetime
) -> Timesheet:
    columns = USER.c["id", "first_name", "last_name", "email", "time_zone"]
    of_manager = (_MANAGER.c.first_name.label("manager_first"), _MANAGER.c.last_name.label("manager_last"))
    found = (
        select(*columns, *of_manager, CHAIN.c.length, CHAIN.c.last_link)
        .outerjoin_from(USER, _MANAGER, _MANAGER.c.id == USER.c.manager_id)
        .outerjoin(CHAIN, CHAIN.c.chain_id == USER.c.id)
        .where(USER.c.id == person_id, is_in_sight)
    )
    person = session.execute(found).one_or_none()
    if person is None:
        raise UserNotFound("There is no such person for you.")
    days = days_of(session, person_id, period, attribution=Attribution.at_midnight, at=at)
    return Timesheet(
        person_id=person.id,
        name=f"{person.first_name} {person.last_name}",
        email=person.email,
        manager_name=f"{person.manager_first} {person.manager_last}" if person.manager_first else None,
        month=_month(period),
        time_zone=period.zone or person.time_zone,
        is_in_one_zone=period.zone is not None,
        as_of=at,
        days=days,
        total_seconds=sum(day.total_seconds for day in days),
        record_length=person.length or 0,
        record_link=person.last_link or "",
    )


def _whose(actor: Actor, user_id: int | None) -> int:
    return actor.id if user_id is None else user_id


def _month(period: Period) -> str:
    return period.start.isoformat()[:7]
