"""Changes of approved timesheets since a payroll file. The audit log has every earlier state.

A decision has the time of its request. It is committed later, and servers' clocks differ. So a decision with an earlier
time than a payroll file may have been committed after the file was read, and one with a later time before. The state
"then" is therefore that of a minute before the file, which is longer than a request takes. Nothing is missed. A
decision of that minute may be listed although the file had it already. `now` is then what the file had.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, and_, or_, select

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.session import Session
from app.core.pagination import MAX_ROWS_IN_MEMORY
from app.core.server.spool import Write, json_list, write_chunks
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import AUDIT_EVENT, TIMESHEET, USER
from app.models.timesheets import TimesheetStatus
from app.schemas.reports.report import ReportScope
from app.schemas.timesheets.payroll import ApprovedHours, PayrollChange
from app.services.access.actor import Actor
from app.services.audit.recorder import with_personal_values
from app.services.calendar.periods import MAX_REPORT_DAYS, PeriodReversed, PeriodTooLong
from app.services.exports.files import users_in_file

OVERLAP = timedelta(minutes=1)
"""Time before a payroll file whose decisions are listed too. It is longer than a request takes, with MAX_CLOCK_LAG."""
_EVENTS = select(
    *TIMESHEET.c["id", "user_id", "first_day", "last_day", "status", "total_seconds", "digest", "decided_at"],
    *AUDIT_EVENT.c["before", "after", "reason", "personal"],
).order_by(TIMESHEET.c.user_id, TIMESHEET.c.first_day, AUDIT_EVENT.c.position)


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """The time of an earlier payroll file, and the scope."""

    since: datetime
    scope: ReportScope
    include_indirect: bool


def list_changes(session: Session, actor: Actor, query: ChangesQuery, *, at: datetime) -> bytes | None:
    """Return the timesheets whose approved state differs from that of the file, as a JSON list of PayrollChange.

    Return None if they have more than MAX_ROWS_IN_MEMORY events; `write_changes` writes any number of them. Raises
    RoleRequired (scope), PeriodTooLong (over 400 days back), PeriodReversed (in the future).
    """
    events = session.execute(_query(session, actor, query, at=at).limit(MAX_ROWS_IN_MEMORY + 1)).all()
    return b"".join(json_list(_changes_as_json(events))) if len(events) <= MAX_ROWS_IN_MEMORY else None


def write_changes(session: Session, actor: Actor, query: ChangesQuery, out: Write, *, at: datetime) -> None:
    """Write what `list_changes` returns, row by row."""
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    # Always closed: on SQLite an unfinished result keeps the snapshot of the connection.
    options = {"yield_per": FETCH_SIZE}
    with session.execute(_query(session, actor, query, at=at), execution_options=options) as events:
        write_chunks(json_list(_changes_as_json(events)), out)


def _query(session: Session, actor: Actor, query: ChangesQuery, *, at: datetime) -> Select[Any]:
    """Return the query for the events since then, with the present state of their timesheets.

    Every action sets `submitted_at` or `decided_at`, except a withdrawal, which follows a submission.
    """
    if query.since > at + MAX_CLOCK_LAG:
        raise PeriodReversed("since is in the future. Send the X-As-Of of an earlier payroll file.")
    if query.since < at - timedelta(days=MAX_REPORT_DAYS):
        raise PeriodTooLong(f"since is more than {MAX_REPORT_DAYS} days ago. Send a later one, or export the payroll.")
    _, users = users_in_file(session, actor, query.scope, include_indirect=query.include_indirect)
    then = query.since - OVERLAP
    is_event = and_(
        AUDIT_EVENT.c.object_type == TIMESHEET.name,
        AUDIT_EVENT.c.object_id == TIMESHEET.c.id,
        AUDIT_EVENT.c.at > then,
    )
    return _EVENTS.join_from(TIMESHEET, AUDIT_EVENT, is_event).where(
        or_(TIMESHEET.c.submitted_at > then, TIMESHEET.c.decided_at > then),
        TIMESHEET.c.user_id.in_(select(USER.c.id).where(users)),
    )


def _changes_as_json(events: Iterable[Row[Any]]) -> Iterator[bytes]:
    """Yield each timesheet whose approved state differs. Events are ordered by timesheet, and oldest first."""
    for _, group in groupby(events, key=lambda event: event.id):
        of_sheet = list(group)
        sheet = of_sheet[0]
        was = None if sheet.before is None else _approved_hours(_from_json(json.loads(sheet.before)))
        now = _approved_hours(sheet._mapping)
        if was == now:
            continue
        reasons = [reason for event in of_sheet if (reason := with_personal_values(event)["reason"])]
        change = PayrollChange.model_construct(
            user_id=sheet.user_id,
            first_day=sheet.first_day,
            last_day=sheet.last_day,
            was=was,
            now=now,
            reasons=reasons,
        )
        yield change.model_dump_json().encode()


def _from_json(before: dict[str, Any]) -> dict[str, Any]:
    decided_at = before["decided_at"]
    return before | {"decided_at": decided_at and datetime.fromisoformat(decided_at)}


def _approved_hours(sheet: Any) -> ApprovedHours | None:
    """Return what is approved in this state of a timesheet, or None if it is not approved."""
    if sheet["status"] != TimesheetStatus.approved:
        return None
    return ApprovedHours.model_construct(
        total_seconds=sheet["total_seconds"], digest=sheet["digest"], approved_at=sheet["decided_at"]
    )
