"""Timesheets as values: those with a row, and those that exist by the rules alone because nobody submitted them yet.

Here is also who may take which action in which status. The actions and the field `can` use the same table.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select, tuple_

from app.core.database.session import Session
from app.core.time.zones import day_start
from app.models.tables import TIMESHEET, USER
from app.models.timesheets import PeriodKind, TimesheetStatus
from app.schemas.timesheets.timesheet import TimesheetAction
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.timesheets.periods import Rules, TimesheetPeriod, kind_on

SheetValues = dict[str, Any]
"""The columns of a timesheet by name, with `id` None and version 0 before the first submission."""
SheetKey = tuple[int, date]
"""The user and first day of a timesheet."""
OVER_SINCE = timedelta(minutes=1)
"""Time between the end of a period and its submission. It covers servers whose clocks differ."""
_S = TimesheetStatus
_COLUMNS = tuple(column.name for column in TIMESHEET.c)
_OWNER_COLUMNS = (
    USER.c.first_name,
    USER.c.last_name,
    USER.c.time_zone,
    USER.c.is_active,
)


class By(Enum):
    """The taker of an action: the user whose hours they are, somebody who decides on them, or either."""

    owner = "owner"
    decider = "decider"
    either = "either"


@dataclass(frozen=True, slots=True)
class Transition:
    """The statuses from which an action starts, and who takes it."""

    sources: tuple[TimesheetStatus, ...]
    by: By


TRANSITIONS: dict[TimesheetAction, Transition] = {
    "submit": Transition((_S.open, _S.rejected), By.either),
    "withdraw": Transition((_S.submitted,), By.owner),
    "approve": Transition((_S.submitted,), By.decider),
    "reject": Transition((_S.submitted,), By.decider),
    "reopen": Transition((_S.approved,), By.decider),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The user whose hours a timesheet has."""

    id: int
    name: str
    time_zone: str
    is_active: bool


def owner_from(row: Row[Any] | Mapping[str, Any], user_id: int) -> Owner:
    """Return the owner from a row with the columns of `with_owner`."""
    values = row if isinstance(row, Mapping) else row._mapping
    return Owner(user_id, f"{values['first_name']} {values['last_name']}", values["time_zone"], values["is_active"])


def with_owner(statement: Select[Any]) -> Select[Any]:
    """Add the columns of the owner to a statement over USER."""
    return statement.add_columns(*_OWNER_COLUMNS)


SHEETS = with_owner(select(TIMESHEET).join_from(TIMESHEET, USER, USER.c.id == TIMESHEET.c.user_id))
_OWNER_QUERY = with_owner(select(USER.c.id))


def load_owners(session: Session, user_ids: Collection[int], *conditions: ColumnElement[bool]) -> dict[int, Owner]:
    """Return the owners by id. `conditions` over USER may narrow them to those in sight."""
    rows = session.execute(_OWNER_QUERY.where(USER.c.id.in_(user_ids), *conditions))
    return {row.id: owner_from(row, row.id) for row in rows}


def load_owner(session: Session, user_id: int) -> Owner:
    """Return the owner. The user must exist."""
    return load_owners(session, [user_id])[user_id]


def values_from(row: Row[Any]) -> SheetValues:
    """Return the timesheet of a row, whose first columns are those of TIMESHEET."""
    return dict(zip(_COLUMNS, row, strict=False))


def unsubmitted(user_id: int, first_day: date, last_day: date) -> SheetValues:
    """Return the open timesheet of a period without a row."""
    values: SheetValues = dict.fromkeys(_COLUMNS)
    return values | {
        "user_id": user_id,
        "first_day": first_day,
        "last_day": last_day,
        "status": _S.open,
        "version": 0,
    }


def load_submitted(session: Session, keys: Collection[SheetKey]) -> dict[SheetKey, SheetValues]:
    """Return the timesheets that have a row, by user and first day."""
    names = tuple_(*TIMESHEET.c["user_id", "first_day"])
    rows = session.execute(select(TIMESHEET).where(names.in_(keys)))
    return {(row.user_id, row.first_day): values_from(row) for row in rows}


def load(session: Session, user_id: int, period: TimesheetPeriod) -> SheetValues:
    """Return the user's timesheet of the period, which has no row before the first submission."""
    key = user_id, period.first_day
    return load_submitted(session, [key]).get(key) or unsubmitted(user_id, period.first_day, period.last_day)


def kind_of(sheet: SheetValues, rules: Rules) -> PeriodKind:
    """Return the kind of the timesheet's period."""
    return kind_on(rules, sheet["first_day"])


def is_over(sheet: SheetValues, owner: Owner, *, at: datetime) -> bool:
    """Return True if the period may be submitted: over for a minute where the owner is now.

    A punch can then no longer fall into it. That of a deactivated owner must only have begun. A later one would lock
    days on which the owner may punch again, because an activation looks at the present day alone.
    """
    if not owner.is_active:
        return at >= day_start(sheet["first_day"], owner.time_zone)
    return at >= day_start(sheet["last_day"] + timedelta(days=1), owner.time_zone) + OVER_SINCE


class Rights:
    """The actions of an actor on timesheets in sight. Nobody decides on their own, unless nobody else could."""

    def __init__(self, session: Session, actor: Actor) -> None:
        self._session, self._actor = session, actor
        self._decides_alone: bool | None = None

    def decides(self, owner_id: int) -> bool:
        """Return True if the actor decides on the hours of this visible user."""
        if owner_id != self._actor.id:
            return True
        if self._decides_alone is None:
            self._decides_alone = visibility.is_without_decider(self._session, owner_id)
        return self._decides_alone

    def actions(self, sheet: SheetValues, owner: Owner, *, at: datetime) -> list[TimesheetAction]:
        """Return the actions that the actor may take now. Entries that prevent a submission do not count."""
        return [
            action
            for action, transition in TRANSITIONS.items()
            if sheet["status"] in transition.sources
            and self._is_one_of(transition.by, owner.id)
            and (action != "submit" or is_over(sheet, owner, at=at))
        ]

    def _is_one_of(self, by: By, owner_id: int) -> bool:
        match by:
            case By.owner:
                return owner_id == self._actor.id
            case By.decider:
                return self.decides(owner_id)
            case By.either:
                return True
