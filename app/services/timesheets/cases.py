"""A timesheet on which somebody acts: its user is locked, and the actor may take the action now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from app.core.database.session import Session
from app.core.security.access_tokens import Claims
from app.models.tables import USER
from app.models.timesheets import TimesheetStatus
from app.schemas.timesheets.timesheet import TimesheetAction
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.timesheets import sheets
from app.services.timesheets.errors import (
    NotYourTimesheet,
    OwnTimesheet,
    TimesheetChanged,
    TimesheetStatusConflict,
)
from app.services.timesheets.periods import Rules, load_rules, require_period
from app.services.timesheets.sheets import TRANSITIONS, By, Owner, Rights, SheetValues

ExpectedVersions = frozenset[int] | None
"""The versions listed in `If-Match`. None accepts every version."""


@dataclass(frozen=True, slots=True)
class TimesheetName:
    """The user and first day that name a timesheet in a request, and the versions that it may have."""

    user_id: int
    first_day: date
    versions: ExpectedVersions = None


@dataclass(frozen=True, slots=True)
class Case:
    """A timesheet whose user is locked, and the actor who acts on it."""

    session: Session
    actor: Actor
    rules: Rules
    owner: Owner
    sheet: SheetValues
    at: datetime

    @property
    def is_own(self) -> bool:
        return self.owner.id == self.actor.id


class Cases:
    """The timesheets that a request names, read in two statements. Their users are locked."""

    def __init__(
        self,
        session: Session,
        actor: Actor,
        visible: Mapping[int, str],
        names: Collection[TimesheetName],
        *,
        at: datetime,
    ) -> None:
        self._session, self._actor, self._at = session, actor, at
        self.rules = load_rules(session)
        visible_names = [name for name in names if name.user_id in visible]
        self._owners = sheets.load_owners(session, {name.user_id for name in visible_names})
        keys = {(name.user_id, name.first_day) for name in visible_names}
        self._sheets = sheets.load_submitted(session, keys)

    def find(self, name: TimesheetName) -> Case:
        """Return the case of a timesheet. Raises UserNotFound, TimesheetNotFound, TimesheetChanged."""
        owner = self._owners.get(name.user_id)
        if owner is None:
            raise UserNotFound("There is no user with this id that you may see.")
        period = require_period(self.rules, name.first_day)
        sheet = self._sheets.get((owner.id, name.first_day)) or sheets.unsubmitted(
            owner.id, period.first_day, period.last_day
        )
        if name.versions is not None and sheet["version"] not in name.versions:
            raise TimesheetChanged(
                "The timesheet has changed since you read it. Read it again, then send its current version.",
                version=sheet["version"],
            )
        return Case(self._session, self._actor, self.rules, owner, sheet, self._at)

    def replace(self, sheet: SheetValues) -> None:
        """Note that a timesheet was written, because a request may name it twice."""
        self._sheets[sheet["user_id"], sheet["first_day"]] = sheet


def begin(session: Session, claims: Claims, name: TimesheetName, action: TimesheetAction, *, at: datetime) -> Case:
    """Lock the user, and check that the actor may take the action now."""
    is_owner = None if name.user_id == claims.user_id else USER.c.id == name.user_id
    actor, visible = visibility.lock_visible(session, claims, is_owner)
    case = Cases(session, actor, visible, [name], at=at).find(name)
    check_action(case, action)
    return case


def check_action(case: Case, action: TimesheetAction) -> None:
    """Raise NotYourTimesheet, OwnTimesheet or TimesheetStatusConflict."""
    transition = TRANSITIONS[action]
    if transition.by is By.owner and not case.is_own:
        raise NotYourTimesheet("Only its user can withdraw a timesheet. Reject it instead.")
    if transition.by is By.decider and not Rights(case.session, case.actor).decides(case.owner.id):
        raise OwnTimesheet("You cannot decide on your own timesheet. Ask your manager or an admin.")
    status: TimesheetStatus = case.sheet["status"]
    if status not in transition.sources:
        raise TimesheetStatusConflict(
            f"The timesheet is {status}, but it must be {' or '.join(transition.sources)}. Read it again.",
            timesheet_status=status,
        )
