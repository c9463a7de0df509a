"""The month sheet: a user's month day by day, to be signed by the user and their manager.

Entries are split at local midnight, so that each day holds exactly its own time (rules: T5). The figures equal those of
GET /reports/me with `attribution=split`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, select, true

from app.core.database.session import Session
from app.models.tables import AUDIT_CHAIN, USER
from app.models.users import User
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.audit import recorder
from app.services.calendar.periods import Period
from app.services.reports.user_days import UserDay, user_days
from app.services.timesheets import month_approvals
from app.services.timesheets.audit_comparison import AuditComparison, compare_with_audit_log
from app.services.timesheets.month_approvals import MonthApproval

_MANAGER = USER.alias("manager")


class Segment(NamedTuple):
    """The part of an entry inside one local day, as the timesheet shows it."""

    start_time: datetime
    end_time: datetime | None
    time_zone: str
    needs_review: bool


@dataclass(frozen=True, slots=True)
class MonthSheet:
    """One month of one user. Times are in UTC, durations in whole seconds."""

    company_name: str
    user_id: int
    name: str
    email: str
    manager_name: str | None
    month: str
    time_zone: str
    """The requested time zone, or else the user's own."""
    is_in_one_zone: bool
    """True if a time zone was requested. Otherwise days follow the time zone of each entry."""
    as_of: datetime
    days: list[UserDay[Segment]]
    total_seconds: int
    chain_length: int
    chain_link: str
    """The head of the user's audit chain, from the same snapshot as the hours."""
    comparison: AuditComparison
    approvals: list[MonthApproval]


def load_name(session: Session, actor: Actor, user_id: int | None) -> str:
    """Return the name on the timesheet. Raises UserNotFound if the actor may not see the user."""
    user = session.get_one(User, _check_visible(session, actor, user_id))
    return f"{user.first_name} {user.last_name}"


def authorize(session: Session, actor: Actor, user_id: int | None, period: Period, *, at: datetime) -> None:
    """Check that the actor may read the user's timesheet, and record the export. Raises UserNotFound."""
    record_export(session, _check_visible(session, actor, user_id), period, actor=actor, at=at)


def record_export(session: Session, user_id: int, period: Period, *, actor: Actor | None, at: datetime) -> None:
    """Record the export in the audit log. `actor` is None for the operator."""
    fields = {"user_id": user_id, "month": _month(period), "tz": period.zone}
    actor_id = None if actor is None else actor.id
    recorder.record(session, "export:timesheet", at=at, actor_id=actor_id, subject_id=actor_id, after=fields)


def load(session: Session, actor: Actor, user_id: int | None, period: Period, *, at: datetime) -> MonthSheet:
    """Load the month of the user, by default of the actor. Raises UserNotFound if the actor may not see the user."""
    return _load(session, _target_user_id(actor, user_id), period, visibility.visible_to(actor, USER.c.id), at=at)


def load_for_operator(session: Session, user_id: int, period: Period, *, at: datetime) -> MonthSheet:
    """Load the month of any user, for operator commands. Raises UserNotFound, TooManyEntries."""
    return _load(session, user_id, period, true(), at=at)


def _load(
    session: Session, user_id: int, period: Period, is_visible: ColumnElement[bool], *, at: datetime
) -> MonthSheet:
    columns = USER.c["id", "first_name", "last_name", "email", "time_zone"]
    manager_columns = (_MANAGER.c.first_name.label("manager_first"), _MANAGER.c.last_name.label("manager_last"))
    query = (
        select(*columns, *manager_columns, AUDIT_CHAIN.c.length, AUDIT_CHAIN.c.last_link)
        .outerjoin_from(USER, _MANAGER, _MANAGER.c.id == USER.c.manager_id)
        .outerjoin(AUDIT_CHAIN, AUDIT_CHAIN.c.chain_id == USER.c.id)
        .where(USER.c.id == user_id, is_visible)
    )
    user = session.execute(query).one_or_none()
    if user is None:
        raise UserNotFound("There is no user with this id that you may see.")
    days = user_days(session, user_id, period, _segment, attribution=Attribution.at_midnight, at=at)
    return MonthSheet(
        company_name=session.settings.COMPANY_NAME,
        user_id=user.id,
        name=f"{user.first_name} {user.last_name}",
        email=user.email,
        manager_name=f"{user.manager_first} {user.manager_last}" if user.manager_first else None,
        month=_month(period),
        time_zone=period.zone or user.time_zone,
        is_in_one_zone=period.zone is not None,
        as_of=at,
        days=days,
        total_seconds=sum(day.total_seconds for day in days),
        chain_length=user.length or 0,
        chain_link=user.last_link or "",
        comparison=compare_with_audit_log(session, user.id, period, chain_length=user.length or 0),
        approvals=month_approvals.load(session, user.id, period, days),
    )


def _segment(entry: TimeEntryWithProject) -> Segment:
    return Segment(entry.start_time, entry.end_time, entry.time_zone, entry.needs_review)


def _check_visible(session: Session, actor: Actor, user_id: int | None) -> int:
    """Return the id of the timesheet's user, by default the actor. Raises UserNotFound if the actor may not see it."""
    target_id = _target_user_id(actor, user_id)
    visibility.require_visible(session, actor, {target_id})
    return target_id


def _target_user_id(actor: Actor, user_id: int | None) -> int:
    return actor.id if user_id is None else user_id


def _month(period: Period) -> str:
    return period.start.isoformat()[:7]
