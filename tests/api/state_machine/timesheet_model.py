"""Model of timesheets, their rules and the lock date, beside the model of entries and as independent of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.api.state_machine.model import ADMIN, WINDOW, BulkRejected, Entry, Model, Person, Rejected, check, utc_text
from tests.support.timesheet_oracle import Tile, digest_of, tile_of, tiles_between

OPEN, SUBMITTED, APPROVED, REJECTED = "open", "submitted", "approved", "rejected"
LOCKED = {SUBMITTED, APPROVED}
SOURCES = {
    "submit": {OPEN, REJECTED},
    "withdraw": {SUBMITTED},
    "approve": {SUBMITTED},
    "reject": {SUBMITTED},
    "reopen": {APPROVED},
}
TARGETS = {"submit": SUBMITTED, "withdraw": OPEN, "approve": APPROVED, "reject": REJECTED, "reopen": OPEN}
DECISIONS = {"approve", "reject", "reopen"}


@dataclass(frozen=True)
class Act:
    """An action on a timesheet. `text` is the comment of a decision, or the reason of a submission for another user."""

    action: str
    owner: Person
    first_day: date
    text: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Sheet:
    """A timesheet. `entries` are copies of the locked entries, as they were when it was submitted."""

    owner: Person
    tile: Tile
    id: int | None = None
    status: str = OPEN
    version: int = 0
    entries: tuple[Entry, ...] = ()
    submitted_at: datetime | None = None
    submitted_by: Person | None = None
    decided_at: datetime | None = None
    decided_by: Person | None = None
    comment: str | None = None
    is_returned: bool = False

    def contains(self, day: date) -> bool:
        return self.tile[0] <= day <= self.tile[1]

    def is_over(self, at: datetime) -> bool:
        zone = ZoneInfo(self.owner.zone)
        if not self.owner.is_active:
            return at.astimezone(zone).date() >= self.tile[0]
        return (at - timedelta(minutes=1)).astimezone(zone).date() > self.tile[1]

    def actions(self, actor: Person, at: datetime) -> list[str]:
        may = {"submit", "withdraw"} if actor is self.owner else {"submit", *DECISIONS}
        may -= set() if self.is_over(at) else {"submit"}
        return [action for action, sources in SOURCES.items() if self.status in sources and action in may]


class TimesheetModel(Model):
    def __init__(self) -> None:
        super().__init__()
        self.rules: dict[date, str] = {}
        self.before_day: date | None = None
        self.lock_version = 1
        self.sheets: dict[tuple[Person, date], Sheet] = {}

    def tiles(self, start: date, end: date) -> list[Tile]:
        return tiles_between(self.rules, start, end)

    def sheet(self, owner: Person, tile: Tile) -> Sheet:
        return self.sheets.get((owner, tile[0]), Sheet(owner, tile))

    def contents(self, sheet: Sheet) -> list[Entry]:
        return [entry for entry in self.entries_of(sheet.owner) if sheet.contains(entry.day)]

    def as_response(self, sheet: Sheet, actor: Person, at: datetime) -> dict[str, Any]:
        entries = [entry.as_response(at) for entry in self.contents(sheet)]
        closed = [(entry.start_time, entry.end_time) for entry in self.contents(sheet) if entry.end_time]
        is_locked = sheet.status in LOCKED
        return {
            "user_id": sheet.owner.id,
            "first_day": str(sheet.tile[0]),
            "last_day": str(sheet.tile[1]),
            "status": sheet.status,
            "version": sheet.version,
            "total_seconds": int(sum((end - start).total_seconds() for start, end in closed)),
            "entries": len(entries),
            "digest": digest_of(sheet.owner.id, sheet.tile, entries) if is_locked else None,
            "submitted_at": sheet.submitted_at and utc_text(sheet.submitted_at),
            "submitted_by": sheet.submitted_by and sheet.submitted_by.id,
            "decided_at": sheet.decided_at and utc_text(sheet.decided_at),
            "decided_by": sheet.decided_by and sheet.decided_by.id,
            "comment": sheet.comment,
            "can": sheet.actions(actor, at),
        }

    # Actions on timesheets

    def act(self, actor: Person, act: Act, at: datetime) -> dict[str, Any]:
        self.authenticate(actor)
        return self.as_response(self._act(actor, act, at), actor, at)

    def approve_many(self, actor: Person, acts: list[Act], at: datetime) -> list[dict[str, Any]]:
        self.authenticate(actor)
        check(role_required=actor.role not in {"manager", ADMIN})
        before, rejected, approved = dict(self.sheets), {}, []
        for index, act in enumerate(acts):
            try:
                approved.append(self._act(actor, act, at))
            except Rejected as rejection:
                rejected[index] = rejection
        if rejected:
            self.sheets = before
            raise BulkRejected(rejected)
        return [self.as_response(sheet, actor, at) for sheet in approved]

    def _act(self, actor: Person, act: Act, at: datetime) -> Sheet:
        check(user_not_found=not actor.may_see(act.owner))
        tile = tile_of(self.rules, act.first_day)
        if tile is None or tile[0] != act.first_day:
            raise Rejected(timesheet_not_found=True)
        sheet = self.sheet(act.owner, tile)
        check(timesheet_changed=act.version not in {None, sheet.version})
        check(own_timesheet=actor is act.owner and act.action in DECISIONS)
        check(not_your_timesheet=actor is not act.owner and act.action == "withdraw")
        check(timesheet_status_conflict=sheet.status not in SOURCES[act.action])
        if act.action == "submit":
            self._check_submission(actor, sheet, act, at)
        changed = self._changed(actor, sheet, act, at)
        self.sheets[act.owner, tile[0]] = changed
        if act.action != "approve":
            self._set_timesheet(changed)
        return changed

    def _check_submission(self, actor: Person, sheet: Sheet, act: Act, at: datetime) -> None:
        check(reason_required=actor is not sheet.owner and act.text is None)
        check(timesheet_not_over=not sheet.is_over(at))
        check(
            timesheet_not_submittable=[
                entry.id
                for entry in self.contents(sheet)
                if entry.end_time is None or entry.as_response(at)["needs_review"]
            ]
        )

    def _changed(self, actor: Person, sheet: Sheet, act: Act, at: datetime) -> Sheet:
        changed = replace(sheet, status=TARGETS[act.action], version=sheet.version + 1)
        match act.action:
            case "submit":
                entries = tuple(self.contents(sheet))
                changed = replace(changed, entries=entries, submitted_at=at, submitted_by=actor)
                return replace(changed, decided_at=None, decided_by=None, comment=None)
            case "withdraw":
                return replace(changed, entries=())
            case "approve":
                changed = replace(changed, is_returned=False)
            case _:
                changed = replace(changed, is_returned=True, entries=())
        return replace(changed, decided_at=at, decided_by=actor, comment=act.text)

    def _set_timesheet(self, sheet: Sheet) -> None:
        """Lock or unlock the entries. It is no change of them."""
        sheet_id = sheet.id if sheet.status in LOCKED else None
        for entry in self.contents(sheet):
            self.entries[entry.id] = replace(entry, timesheet_id=sheet_id)

    def name_row(self, owner: Person, first_day: date, sheet_id: int) -> None:
        """Give a timesheet the id of its row, which the API does not return."""
        sheet = self.sheets[owner, first_day] = replace(self.sheets[owner, first_day], id=sheet_id)
        self._set_timesheet(sheet)

    # Rules and the lock date

    def set_rule(self, actor: Person, day: date, kind: str) -> dict[str, Any]:
        self.authenticate(actor, admin=True)
        check(rule_start_invalid=day.day not in {"month": {1}, "half_month": {1, 16}}.get(kind, {day.day}))
        check(rule_in_use=self._last_day() is not None and day <= self._last_day())
        self.rules = dict(sorted({**self.rules, day: kind}.items()))
        return {"valid_from": str(day), "period": kind}

    def remove_rule(self, actor: Person, day: date) -> None:
        self.authenticate(actor, admin=True)
        check(timesheet_rule_not_found=day not in self.rules)
        last = self._last_day()
        check(rule_in_use=last is not None and day <= last + timedelta(days=1))
        del self.rules[day]

    def move_lock(self, actor: Person, day: date | None, version: int | None, at: datetime) -> dict[str, Any]:
        self.authenticate(actor, admin=True)
        check(lock_in_future=day is not None and day > (at - timedelta(hours=12)).date())
        check(lock_changed=version not in {None, self.lock_version})
        self.lock_version += day != self.before_day
        self.before_day = day
        return {"before_day": day and str(day), "version": self.lock_version}

    def _last_day(self) -> date | None:
        return max((sheet.tile[1] for sheet in self.sheets.values()), default=None)

    # What locks forbid elsewhere

    def _is_today_locked(self, person: Person, zone: str, at: datetime) -> bool:
        return self._status_on(person, at.astimezone(ZoneInfo(zone)).date()) in LOCKED

    def _status_on(self, person: Person, day: date) -> str | None:
        sheet = self._sheet_on(person, day)
        return None if sheet is None else sheet.status

    def _sheet_on(self, person: Person, day: date) -> Sheet | None:
        own = (sheet for sheet in self.sheets.values() if sheet.owner is person)
        return next((sheet for sheet in own if sheet.contains(day)), None)

    def _closed(self, actor: Person, owner: Person, zone: str, at: datetime, *starts: datetime) -> Mapping[str, Any]:
        days = [start.astimezone(ZoneInfo(zone)).date() for start in starts]
        is_limited = actor is owner and actor.role != ADMIN
        return {
            "period_locked": any(
                self._status_on(owner, day) in LOCKED or (self.before_day is not None and day < self.before_day)
                for day in days
            ),
            "edit_window_closed": is_limited
            and any(
                start < at - WINDOW and not self._is_returned(owner, day)
                for start, day in zip(starts, days, strict=True)
            ),
        }

    def _is_returned(self, owner: Person, day: date) -> bool:
        sheet = self._sheet_on(owner, day)
        return sheet is not None and sheet.status not in LOCKED and sheet.is_returned
