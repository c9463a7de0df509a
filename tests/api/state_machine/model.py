"""Model of the service, written from the rules (T, E, J, P, V in docs/rules.md) and independent of its code.

For a caller, a request and a time, the model returns the expected response, or the error codes that are allowed. The
checks have a fixed order: authentication, Idempotency-Key, visibility, version. If several rules about the entry
itself are broken, the service may report any of them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MAX_LENGTH = timedelta(hours=24)
STALE_AFTER = timedelta(hours=16)
WINDOW = timedelta(days=31)
KEY_RETENTION = timedelta(hours=24)
CLOCK_LAG = timedelta(seconds=5)
QUARTER = timedelta(minutes=15)
NO_ID = 2_000_000_000
"""No row has this id or a higher one."""
FOREVER = datetime.max.replace(tzinfo=UTC)
ADMIN, MANAGER = "admin", "manager"


def utc_text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class ClockIn:
    project_id: int
    description: str
    switch: bool


@dataclass(frozen=True)
class ClockOut:
    """Clock-out of this entry; if None, of the open entry."""

    entry_id: int | None


@dataclass(frozen=True)
class Create:
    project_id: int
    start_time: datetime
    end_time: datetime
    description: str
    user_id: int | None
    reason: str | None


@dataclass(frozen=True)
class Change:
    entry_id: int
    sent: tuple[tuple[str, Any], ...]
    reason: str | None
    version: int | None


@dataclass(frozen=True)
class Delete:
    entry_id: int
    reason: str
    version: int | None


@dataclass(frozen=True)
class Bulk:
    operations: tuple[Create | Change | Delete, ...]


Request = ClockIn | ClockOut | Create | Change | Delete | Bulk


class Rejected(Exception):
    """The error codes of all broken rules, each with details for the assertion."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(rules)
        self.rules = rules


class BulkRejected(Rejected):
    """The errors of each rejected operation, by its index."""

    def __init__(self, operations: dict[int, Rejected]) -> None:
        super().__init__(bulk_refused=True)
        self.operations = operations


def check(**rules: Any) -> None:
    """Raise Rejected with the broken rules, if any."""
    if broken := {code: why for code, why in rules.items() if why}:
        raise Rejected(**broken)


@dataclass(eq=False)
class Person:
    id: int
    name: str
    role: str
    zone: str
    manager: "Person | None" = None
    is_active: bool = True
    responses_by_key: dict[str, tuple[Request, Any, datetime]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.name

    def as_response(self) -> dict[str, Any]:
        manager_id = self.manager.id if self.manager else None
        return {"id": self.id, "is_active": self.is_active, "manager_id": manager_id, "time_zone": self.zone}

    def managers_above(self) -> "Iterator[Person]":
        """Yield the manager, the manager's manager, and so on."""
        superior = self.manager
        while superior is not None:
            yield superior
            superior = superior.manager

    def may_see(self, other: "Person") -> bool:
        return other is self or self.role == ADMIN or (self.role == MANAGER and self in other.managers_above())


@dataclass(eq=False)
class Project:
    """A project. `members` are user ids. Without members, every user may book it."""

    id: int
    members: frozenset[int] = frozenset()
    is_active: bool = True

    def __repr__(self) -> str:
        return f"project {self.id}"


@dataclass(frozen=True)
class Entry:
    id: int
    owner: Person
    project_id: int
    start_time: datetime
    end_time: datetime | None
    description: str
    zone: str
    created_at: datetime
    updated_at: datetime
    needs_review: bool = False
    version: int = 1
    timesheet_id: int | None = None

    @property
    def day(self) -> date:
        """The local day of the start, to which the entry counts."""
        return self.start_time.astimezone(ZoneInfo(self.zone)).date()

    def is_open_too_long(self, at: datetime) -> bool:
        return self.end_time is None and at - self.start_time > STALE_AFTER

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        """Return True if two half-open intervals overlap. Adjacent and empty intervals do not overlap."""
        return max(self.start_time, start) < min(self.end_time or FOREVER, end or FOREVER)

    def as_response(self, at: datetime) -> dict[str, Any]:
        return {
            "id": self.id,
            "user_id": self.owner.id,
            "project_id": self.project_id,
            "start_time": utc_text(self.start_time),
            "end_time": utc_text(self.end_time) if self.end_time else None,
            "description": self.description,
            "time_zone": self.zone,
            "needs_review": self.needs_review or self.is_open_too_long(at),
            "version": self.version,
            "timesheet_id": self.timesheet_id,
            "created_at": utc_text(self.created_at),
            "updated_at": utc_text(self.updated_at),
        }


def seconds_by_day(start: datetime, end: datetime | None, zone: str, attribution: str) -> Iterator[tuple[date, int]]:
    """Yield the seconds of a closed entry, whole on the local day of its start, or split at local midnights.

    All local midnights and clock changes are at whole quarters of an hour in UTC. Adding up quarters of an hour
    therefore needs no rule about zones.
    """
    while end is not None and start < end:
        until = end
        if attribution == "split":
            until = min(end, start + QUARTER - timedelta(seconds=start.timestamp() % QUARTER.total_seconds()))
        yield start.astimezone(ZoneInfo(zone)).date(), int((until - start).total_seconds())
        start = until


class Model:
    def __init__(self) -> None:
        self.people: dict[int, Person] = {}
        self.projects: dict[int, Project] = {}
        self.entries: dict[int, Entry] = {}
        self.known: set[int] = set()

    def entries_of(self, person: Person) -> list[Entry]:
        """Return the user's entries, newest first."""
        own = [entry for entry in self.entries.values() if entry.owner is person]
        return sorted(own, key=lambda entry: (entry.start_time, entry.id), reverse=True)

    def days(self, person: Person, attribution: str) -> dict[date, int]:
        days: dict[date, int] = defaultdict(int)
        for entry in self.entries_of(person):
            for day, seconds in seconds_by_day(entry.start_time, entry.end_time, entry.zone, attribution):
                days[day] += seconds
        return dict(days)

    def respond(self, actor: Person, request: Request, *, key: str | None, at: datetime, ids: Iterator[int]) -> Any:
        """Return the expected response. `ids` are the ids that the service assigned to new entries. Raises Rejected."""
        self.authenticate(actor)
        if isinstance(request, Create):
            self._owner(actor, request)
        if key in actor.responses_by_key and at - actor.responses_by_key[key][2] < KEY_RETENTION:
            before, response, _ = actor.responses_by_key[key]
            check(idempotency_key_reused=before != request)
            if isinstance(request, Bulk):
                return self._rebuild(actor, response, at)
            return response
        response = self._apply(actor, request, at, ids)
        if key is not None:
            actor.responses_by_key[key] = request, response, at
        return response

    def authenticate(self, actor: Person, *, admin: bool = False) -> None:
        check(not_authenticated=not actor.is_active)
        check(role_required=admin and actor.role != ADMIN)

    def deactivate(self, actor: Person, person: Person, at: datetime) -> Any:
        self.authenticate(actor, admin=True)
        open_entry = self._open(person)
        if person.is_active and open_entry is not None:
            self._close(open_entry, at)
        person.is_active = False
        return person.as_response()

    def activate(self, actor: Person, person: Person, at: datetime) -> Any:
        self.authenticate(actor, admin=True)
        check(timesheet_locked=self._is_today_locked(person, person.zone, at))
        person.is_active = True
        return person.as_response()

    def move(self, actor: Person, person: Person, zone: str, at: datetime) -> Any:
        """Change the time zone of a user. Users other than admins change only their own."""
        self.authenticate(actor, admin=actor is not person)
        check(timesheet_locked=zone != person.zone and self._is_today_locked(person, zone, at))
        person.zone = zone
        return person.as_response()

    def assign(self, actor: Person, person: Person, manager: Person) -> Any:
        self.authenticate(actor, admin=True)
        check(
            manager_is_self=manager is person,
            manager_invalid=manager.role not in {ADMIN, MANAGER},
            manager_inactive=not manager.is_active,
            manager_cycle=person in manager.managers_above(),
        )
        person.manager = manager
        return person.as_response()

    def archive(self, actor: Person, project: Project, *, is_active: bool) -> Any:
        self.authenticate(actor, admin=True)
        project.is_active = is_active
        return {"id": project.id, "is_active": is_active}

    def _apply(self, actor: Person, request: Request, at: datetime, ids: Iterator[int]) -> Any:
        match request:
            case ClockIn():
                return self._clock_in(actor, request, at, ids)
            case ClockOut():
                return self._clock_out(actor, request, at)
            case Create():
                return self._create(actor, request, at, ids)
            case Change():
                return self._change(actor, request, at)
            case Delete():
                return self._delete(actor, request, at)
            case Bulk():
                return self._bulk(actor, request, at, ids)

    def _clock_in(self, actor: Person, request: ClockIn, at: datetime, ids: Iterator[int]) -> Any:
        open_entry = self._open(actor)
        check(already_clocked_in=open_entry and not request.switch, **self._booking(request.project_id, actor))
        at = self._punch_instant(actor, at)
        if open_entry:
            self._close(open_entry, at)
        return self._add(ids, actor, request.project_id, at, None, request.description, at).as_response(at)

    def _clock_out(self, actor: Person, request: ClockOut, at: datetime) -> Any:
        if request.entry_id is None:
            entry = self._open(actor)
            if entry is None:
                raise Rejected(not_clocked_in=True)
        else:
            entry = self._entry(actor, request.entry_id, None)
            check(not_your_entry=entry.owner is not actor)
            check(already_clocked_out=entry.end_time is not None)
        return self._close(entry, self._punch_instant(actor, at)).as_response(at)

    def _create(self, actor: Person, request: Create, at: datetime, ids: Iterator[int]) -> Any:
        owner, start, end = self._owner(actor, request), request.start_time, request.end_time
        check(
            reason_required=owner is not actor and request.reason is None,
            **self._closed(actor, owner, owner.zone, at, start),
            **self._times(owner, start, end, at),
            **self._booking(request.project_id, owner),
        )
        return self._add(ids, owner, request.project_id, start, end, request.description, at).as_response(at)

    def _change(self, actor: Person, request: Change, at: datetime) -> Any:
        entry = self._entry(actor, request.entry_id, request.version)
        changed = replace(entry, **dict(request.sent))
        times_changed = (changed.start_time, changed.end_time) != (entry.start_time, entry.end_time)
        rules = {"entry_still_open": "needs_review" in dict(request.sent) and changed.is_open_too_long(at)}
        if changed != entry:
            rules["reason_required"] = request.reason is None and (times_changed or entry.owner is not actor)
            rules |= self._closed(actor, entry.owner, entry.zone, at, entry.start_time, changed.start_time)
        if times_changed:
            rules |= self._times(entry.owner, changed.start_time, changed.end_time, at, exclude=entry)
        if changed.project_id != entry.project_id:
            rules |= self._booking(changed.project_id, entry.owner)
        check(**rules)
        if changed != entry:
            review = changed.needs_review and not times_changed
            self._write(replace(changed, needs_review=review, version=entry.version + 1, updated_at=at))
        return self.entries[entry.id].as_response(at)

    def _delete(self, actor: Person, request: Delete, at: datetime) -> None:
        entry = self._entry(actor, request.entry_id, request.version)
        check(**self._closed(actor, entry.owner, entry.zone, at, entry.start_time))
        del self.entries[entry.id]

    def _bulk(self, actor: Person, request: Bulk, at: datetime, ids: Iterator[int]) -> Any:
        before, rejected, results = dict(self.entries), {}, []
        for index, operation in enumerate(request.operations):
            try:
                response = self._apply(actor, operation, at, ids)
                action = type(operation).__name__.lower()
                entry_id = response["id"] if isinstance(operation, Create) else operation.entry_id
                if isinstance(operation, Change) and self.entries[entry_id] is before[entry_id]:
                    response = None
                results.append({"action": action, "id": entry_id, "entry": response})
            except Rejected as rejection:
                rejected[index] = rejection
        if rejected:
            self.entries = before
            raise BulkRejected(rejected)
        return {"results": results}

    def _rebuild(self, actor: Person, response: Any, at: datetime) -> Any:
        """Return the response to a bulk request with the entries as they are now."""
        written = [self.entries.get(result["id"]) for result in response["results"] if result["entry"]]
        check(user_not_found=not all(actor.may_see(entry.owner) for entry in written if entry))
        now = {entry.id: entry.as_response(at) for entry in written if entry}
        return {"results": [result | {"entry": now.get(result["id"])} for result in response["results"]]}

    def _owner(self, actor: Person, request: Create) -> Person:
        owner = actor if request.user_id is None else self.people[request.user_id]
        check(user_not_found=not actor.may_see(owner))
        return owner

    def _entry(self, actor: Person, entry_id: int, version: int | None) -> Entry:
        entry = self.entries.get(entry_id)
        if entry is None or not actor.may_see(entry.owner):
            raise Rejected(entry_not_found=True)
        check(entry_changed=version not in {None, entry.version})
        return entry

    def _open(self, person: Person) -> Entry | None:
        return next((entry for entry in self.entries_of(person) if entry.end_time is None), None)

    def _punch_instant(self, person: Person, at: datetime) -> datetime:
        known = [entry.end_time or entry.start_time for entry in self.entries_of(person)]
        check(server_clock_skew=max(known, default=at) - at > CLOCK_LAG)
        return max([*known, at])

    def _booking(self, project_id: int, owner: Person) -> dict[str, Any]:
        project = self.projects.get(project_id)
        if project is None or (project.members and owner.id not in project.members):
            return {"project_not_found": True}
        return {"project_inactive": not project.is_active}

    def _times(
        self, owner: Person, start: datetime, end: datetime | None, at: datetime, exclude: Entry | None = None
    ) -> dict[str, Any]:
        others = [entry for entry in self.entries_of(owner) if entry is not exclude]
        return {
            "entry_in_future": max(start, end or start) > at,
            "entry_too_short": end is not None and end <= start,
            "entry_too_long": (end or at) - start > MAX_LENGTH,
            "entry_overlaps": [entry.id for entry in others if entry.overlaps(start, end)],
        }

    def _is_today_locked(self, person: Person, zone: str, at: datetime) -> bool:
        """Return True if the user's present day in this zone is in a locked timesheet."""
        return False

    def _closed(self, actor: Person, owner: Person, zone: str, at: datetime, *starts: datetime) -> dict[str, Any]:
        """Return the rules that forbid a change of an entry from or to these starts, in the zone of the entry."""
        return {"edit_window_closed": actor is owner and actor.role != ADMIN and min(starts) < at - WINDOW}

    def _add(
        self,
        ids: Iterator[int],
        owner: Person,
        project_id: int,
        start: datetime,
        end: datetime | None,
        text: str,
        at: datetime,
    ) -> Entry:
        # A rejected request has no id. The later operations of a bulk request are checked all the same.
        entry_id = next(ids, NO_ID + 1 + len(self.known))
        assert entry_id not in self.known, "the service assigned the id of another entry"
        self.known.add(entry_id)
        return self._write(Entry(entry_id, owner, project_id, start, end, text, owner.zone, at, at))

    def _close(self, entry: Entry, at: datetime) -> Entry:
        stale = entry.is_open_too_long(at)
        return self._write(replace(entry, end_time=at, needs_review=stale, version=entry.version + 1, updated_at=at))

    def _write(self, entry: Entry) -> Entry:
        self.entries[entry.id] = entry
        return entry
