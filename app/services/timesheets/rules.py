"""Timesheet rules, which admins set: from which day on which kind of period holds.

A rule changes only behind the last day of every existing timesheet, so the period of a timesheet never changes.
"""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, select

from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.models.tables import TIMESHEET, TIMESHEET_RULE
from app.models.timesheets import PeriodKind
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.period_locks import lock_rules
from app.services.timesheets.errors import RuleInUse, RuleNotFound, RuleStartInvalid
from app.services.timesheets.periods import can_start

_RULES = select(TIMESHEET_RULE).order_by(TIMESHEET_RULE.c.valid_from)
_LAST_DAY = select(func.max(TIMESHEET.c.last_day))
_DAY = timedelta(days=1)


def list_rules(session: Session, _actor: Actor) -> list[Row[Any]]:
    """Return the rules in the order of their days."""
    return list(session.execute(_RULES))


def set_rule(session: Session, actor: Actor, valid_from: date, kind: PeriodKind, *, at: datetime) -> Row[Any]:
    """Add a rule, or change the kind of the one from this day. Raises RuleStartInvalid, RuleInUse."""
    if not can_start(kind, valid_from):
        raise RuleStartInvalid("A month begins on a 1st, half a month on a 1st or 16th. Choose another first day.")
    last_day = _lock_and_read_last_day(session)
    if last_day is not None and valid_from <= last_day:
        raise _in_use(last_day + _DAY)
    present = _find(session, valid_from)
    if present is None or present.period is not kind:
        values = {"period": kind, "created_at": at, "created_by": actor.id}
        statement = upsert(TIMESHEET_RULE).values(valid_from=valid_from, **values)
        session.execute(statement.on_conflict_do_update(index_elements=["valid_from"], set_=values))
        before = None if present is None else _snapshot(present)
        after = {"valid_from": valid_from, "period": kind, "created_by": actor.id}
        recorder.record(session, "timesheet_rule:set", at=at, actor_id=actor.id, before=before, after=after)
        present = _find(session, valid_from)
    assert present is not None
    return present


def remove_rule(session: Session, actor: Actor, valid_from: date, *, at: datetime) -> None:
    """Remove a rule. The rule before it then holds longer. Raises RuleNotFound, RuleInUse."""
    last_day = _lock_and_read_last_day(session)
    present = _find(session, valid_from)
    if present is None:
        raise RuleNotFound(f"No rule holds from {valid_from}. GET /admin/timesheet-rules lists them.")
    if last_day is not None and valid_from <= last_day + _DAY:  # a timesheet may end because this rule begins
        raise _in_use(last_day + 2 * _DAY)
    session.execute(delete(TIMESHEET_RULE).where(TIMESHEET_RULE.c.valid_from == valid_from))
    recorder.record(session, "timesheet_rule:remove", at=at, actor_id=actor.id, before=_snapshot(present))


def _lock_and_read_last_day(session: Session) -> date | None:
    """Wait for all who read the rules in a write, and return the last day that a timesheet has."""
    last_day: date | None = session.execute(_LAST_DAY, execution_options=lock_rules()).scalar_one()
    return last_day


def _find(session: Session, valid_from: date) -> Row[Any] | None:
    return session.execute(_RULES.where(TIMESHEET_RULE.c.valid_from == valid_from)).one_or_none()


def _in_use(first_free_day: date) -> RuleInUse:
    return RuleInUse(
        f"Timesheets exist up to this day. Change rules from {first_free_day} on.", first_free_day=str(first_free_day)
    )


def _snapshot(rule: Row[Any]) -> recorder.Fields:
    return {"valid_from": rule.valid_from, "period": rule.period, "created_by": rule.created_by}
