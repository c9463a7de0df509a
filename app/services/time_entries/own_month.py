"""The caller's own entries of a month, the most frequent read. Rows become JSON without a model object for each row.

The statement is built once and reads instants as seconds since 1970. It reads one extra day before and after the
period, so it needs no time zone. Python then selects the entries of the period by each entry's zone.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import bindparam, select

from app.core.database.dialect import epoch
from app.core.database.execution_options import PREPARE
from app.core.database.session import Session
from app.core.pagination import MAX_OWN_ROWS
from app.core.time.zones import day_start_epoch
from app.models.tables import ENTRY, PROJECT
from app.schemas.types import format_epoch
from app.services.access.actor import Actor
from app.services.calendar.periods import Period, starts_between

_DAY = timedelta(days=1)
JsonObject = dict[str, Any]
"""A JSON object as Python values."""

_STATEMENT = (
    select(
        *ENTRY.c["id", "user_id", "project_id"],
        epoch(ENTRY.c.start_time),
        epoch(ENTRY.c.end_time),
        *ENTRY.c["description", "time_zone", "needs_review", "version"],
        epoch(ENTRY.c.created_at),
        epoch(ENTRY.c.updated_at),
        ENTRY.c.timesheet_id,
        *PROJECT.c["name", "is_active"],
        epoch(PROJECT.c.created_at),
        PROJECT.c.code,
    )
    .join_from(ENTRY, PROJECT, PROJECT.c.id == ENTRY.c.project_id)
    .where(ENTRY.c.user_id == bindparam("user_id"), starts_between(bindparam("lower"), bindparam("upper")))
    .order_by(ENTRY.c.start_time.desc(), ENTRY.c.id.desc())
    .limit(MAX_OWN_ROWS + 1)
    .execution_options(**{PREPARE: True})
)


def month_rows(session: Session, actor: Actor, period: Period, *, at: datetime) -> list[JsonObject] | None:
    """Return the actor's entries that start on a day of the period, newest first, with TimeEntryWithProject's fields.

    Return None if there are more than MAX_OWN_ROWS of them and on the days beside the period.
    """
    rows = _rows(session, actor, period)
    return None if len(rows) > MAX_OWN_ROWS else list(_json_objects(session, rows, period, at=at))


def _json_objects(session: Session, rows: Sequence[Any], period: Period, *, at: datetime) -> Iterator[JsonObject]:
    day_after = period.end + _DAY
    bounds: dict[str, tuple[int, int]] = {}
    projects: dict[int, JsonObject] = {}
    stale_before = int((at - timedelta(hours=session.settings.STALE_ENTRY_HOURS)).timestamp())
    for row in rows:
        entry_id, user_id, project_id, start, end, description, zone, flagged, version, created, updated, *others = row
        if zone not in bounds:
            bounds[zone] = (
                day_start_epoch(period.start, period.zone or zone),
                day_start_epoch(day_after, period.zone or zone),
            )
        lower, upper = bounds[zone]
        if not lower <= start < upper:
            continue
        if project_id not in projects:
            projects[project_id] = _project(project_id, *others[1:])
        yield {
            "id": entry_id,
            "user_id": user_id,
            "project_id": project_id,
            "start_time": format_epoch(start),
            "end_time": None if end is None else format_epoch(end),
            "description": description,
            "time_zone": zone,
            "needs_review": flagged or (end is None and start < stale_before),
            "version": version,
            "created_at": format_epoch(created),
            "updated_at": format_epoch(updated),
            "timesheet_id": others[0],
            "project": projects[project_id],
        }


def _rows(session: Session, actor: Actor, period: Period) -> Sequence[Any]:
    days = period.start - _DAY, period.end + 2 * _DAY  # a zone's midnight is at most one day from UTC's
    lower, upper = (datetime.combine(day, time.min, UTC) for day in days)
    params = {"user_id": actor.id, "lower": lower, "upper": upper}
    return session.core.execute(_STATEMENT, params).all()


def _project(project_id: int, name: str, is_active: bool, created: int, code: str | None) -> JsonObject:
    return {
        "id": project_id,
        "name": name,
        "is_active": is_active,
        "created_at": format_epoch(created),
        "code": code,
    }
