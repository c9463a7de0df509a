"""State machine test: random sequences of requests, each response compared with a model of the rules.

Hypothesis draws the actions, users and times, across nights and clock changes, and reports the shortest failing story.
By default, each run repeats the same few stories, and the extended run repeats more of them.
STATE_MACHINE_EXAMPLES=300 makes the extended run draw 300 longer stories, different ones in each run.
"""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from httpx import Response
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_stories

from app.api.dependencies.parameters import _get_now
from app.main import create_app
from app.models.users import User
from app.services.audit import verification
from tests.api.state_machine.http_helpers import (
    assert_nothing_overlaps,
    bounds_of,
    ids_of_created,
    local_day,
    send,
    without_project,
)
from tests.api.state_machine.model import (
    NO_ID,
    Bulk,
    BulkRejected,
    Change,
    ClockIn,
    ClockOut,
    Create,
    Delete,
    Entry,
    Model,
    Person,
    Project,
    Rejected,
    Request,
)
from tests.api.state_machine.strategies import (
    ADA,
    ANA,
    BOB,
    BOSS,
    EVE,
    EVES,
    MAX,
    MIA,
    PEOPLE,
    ROOT,
    THEY,
    Draft,
    actions,
    zones,
)
from tests.support.audit_asserts import assert_chains_intact
from tests.support.factories import Company
from tests.support.in_process_server import Caller, Server

pytestmark = pytest.mark.high_volume
EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "0"))
ALWAYS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHORT = settings(ALWAYS, max_examples=3, stateful_step_count=30)
LONG = settings(
    ALWAYS, max_examples=EXAMPLES or 24, stateful_step_count=50 if EXAMPLES else 30, derandomize=not EXAMPLES
)
EXTENDED = pytest.mark.extended
SEEDS = {"sqlite": 3, "postgresql": 4}
"""Seeds, so that each database has stories of its own, the same ones in each run."""
STATUS = {
    "not_authenticated": 401,
    "edit_window_closed": 403,
    "not_your_entry": 403,
    "role_required": 403,
    "entry_not_found": 404,
    "project_not_found": 404,
    "user_not_found": 404,
    "already_clocked_in": 409,
    "already_clocked_out": 409,
    "bulk_refused": 409,
    "entry_overlaps": 409,
    "entry_still_open": 409,
    "manager_cycle": 409,
    "manager_inactive": 409,
    "manager_invalid": 409,
    "manager_is_self": 409,
    "not_clocked_in": 409,
    "project_inactive": 409,
    "entry_changed": 412,
    "entry_in_future": 422,
    "entry_too_long": 422,
    "entry_too_short": 422,
    "idempotency_key_reused": 422,
    "reason_required": 422,
}
DONE = {ClockIn: 200, ClockOut: 200, Create: 201, Change: 200, Delete: 204, Bulk: 200}
BEFORE, AFTER = timedelta(days=60), timedelta(days=330)
"""The range of a story before and after its start. A report has at most 400 days."""


class Clock:
    """The current time of the service in a story."""

    now = EVES[0]

    async def read(self) -> datetime:
        return self.now

    def rule(self, server: Server) -> None:
        """Let the service read this clock."""
        own = create_app(server.settings)
        own.dependency_overrides[_get_now] = self.read
        server.app.router.routes[:] = own.router.routes


class Story(RuleBasedStateMachine):
    """One story. All stories share the admin Root, who always stays active. All other users belong to one story."""

    model_type = Model

    def __init__(self, server: Server, root: User, clock: Clock, number: int) -> None:
        super().__init__()
        self.server, self.company, self.clock, self.number = server, Company(server.database), clock, number
        self.model = self.model_type()
        self.people: dict[str, Person] = {}
        self.projects = {"None such": Project(NO_ID)}
        self.callers: dict[Person, Caller] = {}
        self.repeatable: list[tuple[str, Request, str]] = []
        self.affected: dict[Person, bool] = {}
        self.turns = count()
        self._join(root)

    @initialize(eve=some.sampled_from(EVES), hours=some.integers(0, 48), zones=some.tuples(*[zones] * 6))
    def set_up(self, eve: datetime, hours: int, zones: tuple[str, ...]) -> None:
        """Create the company. Mia manages Max and Bob, and Max manages Ana. Eve has no manager.

        Only Ana and Max may book the project Secret.
        """
        self.eve, self.clock.now = eve, eve + timedelta(hours=hours)
        zone = iter(zones)

        def traits(name: str, **more: Any) -> dict[str, Any]:
            return {"email": f"{name}.{self.number}@example.com", "time_zone": next(zone), **more}

        ada = self.company.admin(ADA, **traits(ADA))
        mia = self.company.manager(MIA, **traits(MIA))
        max_ = self.company.manager(MAX, **traits(MAX, manager=mia))
        ana = self.company.employee(ANA, **traits(ANA, manager=max_))
        bob = self.company.employee(BOB, **traits(BOB, manager=mia))
        for person in (ada, mia, max_, ana, bob, self.company.employee(EVE, **traits(EVE))):
            self._join(person)
        for name, members in {"Website": (), "Shop": (), "Secret": (ana, max_)}.items():
            made = self.company.project(f"{name} {self.number}", members=members)
            assert made.id is not None
            self.projects[name] = project = Project(made.id, frozenset(member.id for member in members))
            self.model.projects[project.id] = project

    @rule(action=actions)
    def run_action(self, action: tuple[str, dict[str, Any]]) -> None:
        name, arguments = action
        getattr(self, name)(**arguments)

    # Actions on time entries

    def punch(self, after: int, who: str, what: str, project: str, text: str, key: str | None) -> None:
        """Clock in or out. `turn` clocks out a user who is clocked in, and clocks in any other user."""
        self.wait(after)
        if what == "turn":
            what = "out" if who in self._open_entry_ids() else "in"
        clock_in = ClockIn(self.projects[project].id, text, switch=what == "switch")
        self.send_and_compare(who, ClockOut(None) if what == "out" else clock_in, key)

    def enter(self, who: str, draft: Draft, key: str | None) -> None:
        who = self._actor_name(who, self.people[draft["whose"]])
        self.send_and_compare(who, self._build_request(who, draft), key)

    def correct(self, who: str, draft: Draft, key: str | None) -> None:
        who = self._actor_name(who, self._owner(draft["entry_id"]))
        request = self._build_request(who, draft)
        self.send_and_compare(who, request, key if isinstance(request, ClockOut) else None)

    def change_many(self, who: str, drafts: list[Draft], key: str | None) -> None:
        requests = [self._build_request(who, draft) for draft in drafts]
        # The service accepts one operation for each entry.
        once = {getattr(each, "entry_id", number): each for number, each in enumerate(requests, start=-len(requests))}
        self.send_and_compare(who, Bulk(tuple(once.values())), key)

    def repeat_request(self, back: int) -> None:
        if self.repeatable:
            self.send_and_compare(*self.repeatable[-1 - back % len(self.repeatable)])

    def list_entries(self, who: str) -> None:
        """Assert that a user sees exactly the entries that the model makes visible."""
        person = self.people[who]
        listed = self.callers[person].get("/time-entries", params={"limit": 1000, "start_date": "2026-01-01"})
        if not person.is_active:
            assert listed.status_code == 401
            return
        ours = {each.id for each in self.people.values()}
        seen = {entry["id"] for entry in listed.json() if entry["user_id"] in ours}
        assert seen == {entry.id for entry in self.model.entries.values() if person.may_see(entry.owner)}
        assert len(seen) == len(listed.json())

    # Actions on the time and on the company

    def wait(self, seconds: int) -> None:
        self.clock.now = min(self.clock.now + timedelta(seconds=seconds), self.eve + AFTER)
        self.affected |= {entry.owner: False for entry in self.model.entries.values() if entry.end_time is None}

    def change_the_company(self, who: str, whom: str, what: tuple[Any, ...]) -> None:
        actor, person, caller = self.people[who], self.people[whom], self.callers[self.people[who]]
        address, model = f"/admin/users/{person.id}", self.model
        match what:
            case ("deactivate",):
                response = caller.put(f"{address}/deactivate")
                self._compare(response, lambda: model.deactivate(actor, person, self.clock.now))
            case ("activate",):
                was_active = person.is_active
                self._compare(caller.put(f"{address}/activate"), lambda: model.activate(actor, person, self.clock.now))
                if person.is_active and not was_active:
                    self._renew_token(person)
            case ("move", zone):
                address = "/auth/me" if actor is person else address
                response = caller.patch(address, json={"time_zone": zone})
                self._compare(response, lambda: model.move(actor, person, zone, self.clock.now))
            case ("assign", name):
                boss = self.people[name]
                response = caller.put(f"{address}/assign-manager", params={"manager_id": boss.id})
                self._compare(response, lambda: model.assign(actor, person, boss))
            case ("archive", name, is_active):
                project = self.projects[name]
                response = caller.patch(f"/admin/projects/{project.id}", json={"is_active": is_active})
                self._compare(response, lambda: model.archive(actor, project, is_active=is_active))
        self.affected |= {actor: False, person: True}

    # Invariants after every step

    @invariant()
    def check_everything(self) -> None:
        """Check the entries of the users affected by the step.

        If the step changed an entry, also check the reports of its user, and the entries of one other user in turn.
        """
        entry_changed = any(self.affected.values())
        others = [self.people[PEOPLE[next(self.turns) % len(PEOPLE)]]] if entry_changed else []
        for person in dict.fromkeys([*self.affected, *others]):
            listed = self._listed(person)
            assert listed == [entry.as_response(self.clock.now) for entry in self.model.entries_of(person)]
            assert_nothing_overlaps(listed)
            if self.affected.get(person):
                self._check_days(person, listed)
        with self.server.database.read_transaction() as session:
            assert_chains_intact(session, [person.id for person in self.affected])
        self.affected.clear()

    def teardown(self) -> None:
        for caller in self.callers.values():
            caller.close()

    # Requests, and the comparison of responses

    def puncher_names(self) -> list[str]:
        """Return the names to draw from. Users who are clocked in are drawn more often."""
        return [*PEOPLE, *list(self._open_entry_ids()) * 2]

    def entry_ids(self) -> list[int]:
        """Return the entry ids to draw from, latest first, with one deleted entry.

        Open entries and entries that need review are drawn more often.
        """
        there = list(reversed(self.model.entries))
        pending = [each for each in there if self.model.entries[each].as_response(self.clock.now)["needs_review"]]
        gone = self.model.known - self.model.entries.keys()
        open_ids = list(self._open_entry_ids().values())
        return [*open_ids * 2, *pending * 2, *there, *sorted(gone, reverse=True)[:1]] or [NO_ID]

    def _open_entry_ids(self) -> dict[str, int]:
        """Return the id of the open entry of each user who is clocked in, by name."""
        return {entry.owner.name: entry.id for entry in self.model.entries.values() if entry.end_time is None}

    def send_and_compare(self, who: str, request: Request, key: str | None = None) -> None:
        """Send the request, and compare the response with the model's."""
        actor, before = self.people[who], dict(self.model.entries)
        response = send(self.callers[actor], request, key and f"{key}{self.number}", actor.zone)
        ids = ids_of_created(response, request)
        self._compare(
            response,
            lambda: self.model.respond(actor, request, key=key, at=self.clock.now, ids=iter(ids)),
            status=DONE[type(request)],
        )
        if "ETag" in response.headers:
            assert response.headers["ETag"] == f'"{response.json()["version"]}"'
        if key is not None and response.is_success:
            self.repeatable.append((who, request, key))
        touched = set(before.values()) ^ set(self.model.entries.values())
        self.affected |= {actor: False, **{entry.owner: True for entry in touched}}

    def _compare(self, response: Response, model: Callable[[], Any], *, status: int = 200) -> None:
        body = response.json() if response.content else None
        note(f"{response.status_code} {body}")
        try:
            expected = model()
        except Rejected as rejection:
            assert response.status_code >= 400, f"accepted, although the model rejects it: {rejection.rules}"
            assert body["code"] in rejection.rules, f"{body['code']}, not {rejection.rules}"
            assert response.status_code == STATUS[body["code"]]
            if body["code"] == "entry_overlaps":
                assert body["entry_id"] in rejection.rules["entry_overlaps"]
            if isinstance(rejection, BulkRejected):
                errors = {each["loc"][-1]: each["type"] for each in body["errors"]}
                assert errors.keys() == rejection.operations.keys()
                assert all(errors[index] in each.rules for index, each in rejection.operations.items())
        else:
            assert response.status_code == status, f"rejected, although the model accepts it: {body}"
            assert expected == body if expected is None else expected == {name: body[name] for name in expected}

    def _build_request(self, who: str, draft: Draft) -> Any:
        """Return the request for the draft, with the present ids, instants and versions."""
        if "whose" in draft:
            owner = self.people[draft["whose"]]
            length = timedelta(seconds=draft["length"])
            start = self._moment(owner, draft["spot"]) - draft["is_end"] * length
            end = start + length
            owner_id = None if owner is self.people[who] else owner.id
            return Create(self.projects[draft["project"]].id, start, end, "", owner_id, draft["reason"])
        entry_id, owner = draft["entry_id"], self._owner(draft["entry_id"])
        if "ahead" not in draft:
            return ClockOut(entry_id)
        entry = self.model.entries.get(entry_id)
        version = None if draft["ahead"] is None else (entry.version if entry else 1) + draft["ahead"]
        if "sent" not in draft:
            return Delete(entry_id, "Because", version)
        sent = dict(draft["sent"])
        for name in ("start_time", "end_time"):
            if name in sent:
                sent[name] = self._moment(owner, sent[name], *([entry] if entry else []))
        if "project_id" in sent:
            sent["project_id"] = self.projects[sent["project_id"]].id
        return Change(entry_id, tuple(sent.items()), draft["reason"], version)

    def _moment(self, person: Person, spot: tuple[int, int], *first: Entry) -> datetime:
        which, seconds = spot
        entries = [*first, *self.model.entries_of(person)]
        bounds = [each for entry in entries for each in (entry.end_time or entry.start_time, entry.start_time)]
        moments = [self.clock.now, *(bounds or [self.clock.now - timedelta(days=1)])]
        return moments[which and 1 + (which - 1) % (len(moments) - 1)] + timedelta(seconds=seconds)

    def _owner(self, entry_id: int) -> Person:
        """Return the user of the entry, or Root if the entry was deleted."""
        entry = self.model.entries.get(entry_id)
        return entry.owner if entry else self.people[ROOT]

    def _actor_name(self, who: str, owner: Person) -> str:
        boss = owner.manager or self.people[ROOT]
        return {THEY: owner.name, BOSS: boss.name}.get(who, who)

    def _join(self, user: User) -> None:
        assert user.id is not None
        boss = self.model.people[user.manager_id] if user.manager_id else None
        person = Person(user.id, user.first_name, user.role.value, user.time_zone, boss)
        self.people[person.name] = self.model.people[person.id] = person
        self.callers[person] = self._log_in(user)

    def _log_in(self, user: User) -> Caller:
        return self.server.caller(self.server.token(user))

    def _renew_token(self, person: Person) -> None:
        """Log in a reactivated user again."""
        with closing(self.callers[person]) as before:
            assert before.get("/time-entries/current").status_code == 401, "old tokens must stay invalid"
        with self.server.database.read_transaction() as session:
            user = session.get_one(User, person.id)
            self.callers[person] = self._log_in(user)

    # Lists and reports of the service

    def _listed(self, person: Person, first: str = "2026-01-01", last: str = "2027-12-31") -> list[dict[str, Any]]:
        """Return the user's entries, newest first, read by the user, or by Root if the user is deactivated."""
        period = {"start_date": first, "end_date": last}
        if person.is_active:
            response = self.callers[person].get("/time-entries/me", params=period)
        else:
            query = {"user_id": person.id, "limit": 1000}
            response = self.callers[self.people[ROOT]].get("/time-entries", params=query | period)
        assert response.status_code == 200
        return [without_project(entry) for entry in response.json()]

    def _reported_days(self, person: Person, attribution: str) -> dict[date, int]:
        """Return the seconds by day of the user's own report, without empty days."""
        first, last = (self.eve - BEFORE).date(), (self.eve + AFTER).date()
        params = {"start_date": first, "end_date": last, "attribution": attribution}
        days = self.callers[person].get("/reports/me", params=params).json()
        assert days["total_seconds"] == sum(day["total_seconds"] for day in days["days"])
        return {date.fromisoformat(day["date"]): day["total_seconds"] for day in days["days"] if day["total_seconds"]}

    def _check_days(self, person: Person, listed: list[dict[str, Any]]) -> None:
        """Check the user's own report, the list of one day and the manager's team report against the model."""
        total = sum(int((end - start).total_seconds()) for start, end in map(bounds_of, listed) if end)
        for attribution in ("start", "split"):
            days = {day: seconds for day, seconds in self.model.days(person, attribution).items() if seconds}
            assert sum(days.values()) == total
            if person.is_active:
                assert self._reported_days(person, attribution) == days
        if listed:
            day = local_day(listed[0])
            of_day = [entry for entry in listed if local_day(entry) == day]
            assert self._listed(person, str(day), str(day)) == of_day
        boss = person.manager
        if boss is not None and boss.is_active:
            first, last = (self.eve - BEFORE).date(), (self.eve + AFTER).date() + timedelta(days=1)
            report = self.callers[boss].get("/reports/team", params={"start_date": first, "end_date": last}).json()
            (row,) = [each for each in report if each["employee"]["id"] == person.id]
            within = [entry for entry in reversed(listed) if first <= local_day(entry) <= last]
            days = self.model.days(person, "start")
            assert row["total_seconds"] == sum(seconds for day, seconds in days.items() if first <= day <= last)
            assert [without_project(entry) for entry in row["entries"]] == within


@pytest.mark.parametrize("form", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=EXTENDED)])
def test_whatever_people_do_the_answers_are_those_of_the_rules(server: Server, engine: str, form: settings) -> None:
    clock, numbers = Clock(), count(1)
    clock.rule(server)
    root = Company(server.database).admin(ROOT)

    def build_story() -> Story:
        return Story(server, root, clock, next(numbers))

    run_stories(seed(SEEDS[engine])(build_story) if form.derandomize else build_story, settings=form)

    with server.database.read_transaction() as session:
        verification.verify(session, (), on_progress=lambda done, total: None)
