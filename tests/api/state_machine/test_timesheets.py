"""State machine test of timesheets: the stories of entries, with periods that are submitted, decided on and locked.

Two services on one database answer in turn. After each step, the timesheets of the users concerned are compared with
the model, and all locked entries with their copies from the submission.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import count, cycle
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import seed, settings
from hypothesis import strategies as some
from hypothesis.stateful import initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_stories
from sqlalchemy import delete, select, update

from app.models.tables import ENTRY, PAYROLL_LOCK, TIMESHEET, TIMESHEET_RULE
from app.models.users import User
from app.services.timesheets.verification import verify
from tests.api.state_machine import test_state_machine as entries_test
from tests.api.state_machine.model import Person
from tests.api.state_machine.strategies import BOSS, EVES, PEOPLE, ROOT, THEY, zones
from tests.api.state_machine.test_state_machine import ALWAYS, EXTENDED, LONG, SEEDS, Clock, Story
from tests.api.state_machine.timesheet_model import DECISIONS, LOCKED, Act, Sheet, TimesheetModel
from tests.api.state_machine.timesheet_strategies import FITTING, KINDS, NEXT_PERIOD, NO_PERIOD, timesheet_actions
from tests.support.factories import Company
from tests.support.in_process_server import Caller, Server, run_server
from tests.support.timesheet_oracle import DAY, Tile, tile_of

pytestmark = pytest.mark.high_volume
BEFORE, AFTER = timedelta(days=40), timedelta(days=330)
SHORT = settings(ALWAYS, max_examples=2, stateful_step_count=30)
NEXT = {"open": "submit", "rejected": "submit", "submitted": "approve", "approved": "reopen"}
STATUS = {
    "not_your_timesheet": 403,
    "own_timesheet": 403,
    "timesheet_not_found": 404,
    "timesheet_rule_not_found": 404,
    "period_locked": 409,
    "rule_in_use": 409,
    "timesheet_locked": 409,
    "timesheet_not_over": 409,
    "timesheet_not_submittable": 409,
    "timesheet_status_conflict": 409,
    "lock_changed": 412,
    "timesheet_changed": 412,
    "lock_in_future": 422,
    "rule_start_invalid": 422,
}
entries_test.STATUS.update(STATUS)


class TimesheetStory(Story):
    """One story. They concern all users, so each story removes the rules and timesheets of the one before it."""

    model_type = TimesheetModel
    model: TimesheetModel

    def __init__(self, servers: list[Server], root: User, clock: Clock, number: int) -> None:
        self.ports = cycle(httpx.URL(server.base_url).port for server in servers)
        super().__init__(servers[0], root, clock, number)

    @initialize(
        eve=some.sampled_from(EVES),
        hours=some.integers(0, 48),
        zones=some.tuples(*[zones] * 6),
        kind=some.sampled_from(KINDS),
    )
    def set_up(self, eve: datetime, hours: int, zones: tuple[str, ...], kind: str) -> None:  # type: ignore[override]
        with self.server.database.write_transaction("test") as session:
            session.execute(update(ENTRY).where(ENTRY.c.timesheet_id.is_not(None)).values(timesheet_id=None))
            session.execute(delete(TIMESHEET))
            session.execute(delete(TIMESHEET_RULE))
            session.execute(update(PAYROLL_LOCK).values(before_day=None, version=1))
        super().set_up(eve, hours, zones)
        self.set_rule(ROOT, "1st", -1, kind)

    @rule(action=timesheet_actions)
    def run_action(self, action: tuple[str, dict[str, Any]]) -> None:
        name, arguments = action
        getattr(self, name)(**arguments)

    # Actions

    def act_on_sheet(self, who: str, sheet: dict[str, Any], what: str, text: str | None, ahead: int | None) -> None:
        found = self._sheet(sheet)
        action = NEXT[found.status] if what == "next" else what
        actor = self.people[self._sender(who, found.owner, action)]
        text = text or "Because" if action in {"reject", "reopen"} else text
        text = None if action == "withdraw" else text
        version = None if ahead is None else found.version + ahead
        act = Act(action, found.owner, found.tile[0], text, version)
        name = "comment" if action in {"approve", "reject"} else "reason"
        response = self.callers[actor].post(
            f"/timesheets/{found.owner.id}/{found.tile[0]}/{action}",
            json=None if text is None else {name: text},
            headers={} if version is None else {"If-Match": f'"{version}"'},
        )
        self._compare(response, lambda: self._act(actor, act))
        if response.is_success:
            assert response.headers["ETag"] == f'"{response.json()["version"]}"'
        self.affected |= {actor: False, found.owner: response.is_success}

    def approve_many(self, who: str, drafts: list[dict[str, Any]]) -> None:
        """Approve all that wait, and a few others."""
        actor = self.people[who]
        waiting = [sheet for sheet in self.model.sheets.values() if sheet.status == "submitted"]
        sheets = [each for each in waiting if actor.may_see(each.owner)] + [self._sheet(each) for each in drafts]
        if not sheets:
            return
        acts = [Act("approve", sheet.owner, sheet.tile[0]) for sheet in sheets]
        keys = [{"user_id": act.owner.id, "first_day": str(act.first_day)} for act in acts]
        response = self.callers[actor].post("/timesheets/approve", json={"timesheets": keys})
        self._compare_rows(response, lambda: self.model.approve_many(actor, acts, self.clock.now))
        self.affected |= {actor: False, **{sheet.owner: False for sheet in sheets}}

    def set_rule(self, who: str, day: str, months: int, kind: str) -> None:
        actor, valid_from = self.people[who], self._rule_day(day, months)
        response = self.callers[actor].put(f"/admin/timesheet-rules/{valid_from}", json={"period": kind})
        self._compare(response, lambda: self.model.set_rule(actor, valid_from, kind))
        self.affected |= {actor: False, self._next_person(): False}

    def remove_rule(self, who: str, which: int) -> None:
        actor, days = self.people[who], list(self.model.rules)
        day = days[which] if which < len(days) else date(2026, 1, 2)
        if len(days) > 1 or day not in days:
            response = self.callers[actor].delete(f"/admin/timesheet-rules/{day}")
            self._compare(response, lambda: self.model.remove_rule(actor, day), status=204)
            self.affected |= {actor: False, self._next_person(): False}

    def move_lock(self, who: str, days: int | None, ahead: int | None) -> None:
        actor = self.people[who]
        day = None if days is None else self.clock.now.date() - days * DAY
        version = None if ahead is None else self.model.lock_version + ahead
        response = self.callers[actor].put(
            "/admin/lock",
            json={"before_day": day and str(day), "reason": "Payroll"},
            headers={} if version is None else {"If-Match": f'"{version}"'},
        )
        self._compare(response, lambda: self.model.move_lock(actor, day, version, self.clock.now))

    def list_sheets(self, who: str, is_waiting: bool, is_wide: bool) -> None:
        """Assert that managers see the timesheets on which they decide, those that wait longest first."""
        actor, params = (
            self.people[who],
            {"include_indirect": is_wide, **({"status": "submitted"} if is_waiting else {})},
        )
        response = self.callers[actor].get("/timesheets", params=params)
        sheets = [each for each in self.model.sheets.values() if each.owner is not actor and actor.may_see(each.owner)]
        sheets = [each for each in sheets if is_wide or each.owner.manager is actor]
        if is_waiting:
            sheets = [each for each in sheets if each.status == "submitted"]
            sheets.sort(key=lambda sheet: (sheet.submitted_at, sheet.id))
        else:
            sheets.sort(key=lambda sheet: (sheet.tile[0], sheet.id), reverse=True)
        now = self.clock.now

        def expected() -> list[dict[str, Any]]:
            self.model.authenticate(actor)
            return [self.model.as_response(sheet, actor, now) for sheet in sheets]

        self._compare_rows(response, expected)

    def wait_for_edge(self, whose: str, periods: int, seconds: int) -> None:
        """Wait until some seconds after the end of a period, where the user is now."""
        person = self.people[whose]
        tile = self._present_tile(person)
        for _ in range(periods):
            tile = tile_of(self.model.rules, tile[1] + DAY) or tile
        edge = datetime.combine(tile[1] + DAY, time.min, ZoneInfo(person.zone)).astimezone(UTC)
        self.wait(max(0, int((edge - self.clock.now).total_seconds()) + seconds))

    def travel(self, who: str, zone: str) -> None:
        self.change_the_company(who, who, ("move", zone))

    # Invariants after every step

    @invariant()
    def check_everything(self) -> None:
        persons = list(self.affected)
        super().check_everything()
        for person in persons:
            if person.is_active:
                self._check_sheets(person)
        for sheet in self.model.sheets.values():
            if sheet.status in LOCKED:
                copies = [entry.as_response(self.clock.now) | {"timesheet_id": sheet.id} for entry in sheet.entries]
                present = [entry.as_response(self.clock.now) for entry in self.model.contents(sheet)]
                assert present == copies
        with self.server.database.read_transaction() as session:
            assert verify(session).named_faults == []

    def _check_sheets(self, person: Person) -> None:
        """Compare the user's timesheets with the model, and their sum with that of the report over the same days."""
        first, last = (self.eve - BEFORE).date(), min(self.clock.now + timedelta(days=20), self.eve + AFTER).date()
        params = {"start_date": str(first), "end_date": str(last)}
        listed = self.callers[person].get("/timesheets/me", params=params).json()
        tiles = self.model.tiles(first, last)
        sheets = [self.model.sheet(person, tile) for tile in reversed(tiles)]
        self._assert_rows(listed, [self.model.as_response(sheet, person, self.clock.now) for sheet in sheets])
        for entry in self.model.entries_of(person):
            inside = [tile for tile in tiles if tile[0] <= entry.day <= tile[1]]
            assert len(inside) == 1 or entry.day < min(self.model.rules) or not first <= entry.day <= last
        if tiles:
            params = {"start_date": str(tiles[0][0]), "end_date": str(tiles[-1][1]), "attribution": "start"}
            report = self.callers[person].get("/reports/me", params=params).json()
            assert sum(sheet["total_seconds"] for sheet in listed) == report["total_seconds"]

    # Names of people, periods and days

    def _log_in(self, user: User) -> Caller:
        """Return a client whose requests go to the services in turn."""
        caller = super()._log_in(user)

        def turn(request: httpx.Request) -> None:
            request.url = request.url.copy_with(port=next(self.ports))

        caller.event_hooks["request"].append(turn)
        return caller

    def _act(self, actor: Person, act: Act) -> dict[str, Any]:
        expected = self.model.act(actor, act, self.clock.now)
        if self.model.sheets[act.owner, act.first_day].id is None:
            query = select(TIMESHEET.c.id).where(
                TIMESHEET.c.user_id == act.owner.id, TIMESHEET.c.first_day == act.first_day
            )
            with self.server.database.read_transaction() as session:
                self.model.name_row(act.owner, act.first_day, session.execute(query).scalar_one())
        return expected

    def _compare_rows(self, response: httpx.Response, model: Callable[[], list[dict[str, Any]]]) -> None:
        """Compare a list in the response with the model's."""
        if response.is_error:
            self._compare(response, model)
        else:
            self._assert_rows(response.json(), model())

    def _assert_rows(self, rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
        assert [{name: row[name] for name in entry} for row, entry in zip(rows, expected, strict=True)] == expected

    def _present_tile(self, person: Person) -> Tile:
        today = self.clock.now.astimezone(ZoneInfo(person.zone)).date()
        tile = tile_of(self.model.rules, max(today, min(self.model.rules)))
        assert tile is not None
        return tile

    def _next_person(self) -> Person:
        return self.people[PEOPLE[next(self.turns) % len(PEOPLE)]]

    def _sheet(self, draft: dict[str, Any]) -> Sheet:
        person = self.people[draft["whose"]]
        tile = self._present_tile(person)
        for _ in range(draft["back"]):
            tile = tile_of(self.model.rules, tile[0] - DAY) or tile
        if draft["back"] == NEXT_PERIOD:
            tile = tile_of(self.model.rules, tile[1] + DAY) or tile
        elif draft["back"] == NO_PERIOD:
            tile = tile[0] + DAY, tile[1]  # no period begins there, unless it has a single day
        return self.model.sheet(person, tile)

    def _sender(self, who: str, owner: Person, action: str) -> str:
        who = who if who != FITTING else BOSS if action in DECISIONS else THEY
        return self._actor_name(who, owner)

    def _rule_day(self, day: str, months: int) -> date:
        today = self.clock.now.date()
        month = today.month - 1 + months
        first = date(today.year + month // 12, month % 12 + 1, 1)
        free = max((sheet.tile[1] for sheet in self.model.sheets.values()), default=today) + DAY
        return {
            "1st": first,
            "16th": first.replace(day=16),
            "today": today,
            "free day": free + max(0, months) * DAY,
            "day before": free - DAY,
        }[day]


@pytest.mark.parametrize("form", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=EXTENDED)])
def test_whatever_people_do_the_approved_hours_stay_what_was_approved(
    server: Server, engine: str, form: settings
) -> None:
    clock, numbers = Clock(), count(1)
    root = Company(server.database).admin(ROOT)
    with run_server(server.settings) as second:
        for each in (server, second):
            clock.rule(each)

        def build_story() -> TimesheetStory:
            return TimesheetStory([server, second], root, clock, next(numbers))

        run_stories(seed(SEEDS[engine])(build_story) if form.derandomize else build_story, settings=form)
