"""Punches, logins, and nine o'clock: what a company does when it comes to work."""

import itertools
import re
import uuid
from dataclasses import replace

from benchmarks.company import MANAGER, MONTH, dates
from benchmarks.environment import Environment
from benchmarks.load import Request, Script, drive
from benchmarks.measure import Run, Sample
from benchmarks.scenarios.scenario import DONE, Scenario, read_load
from benchmarks.services import ENTRY_ID, IDEMPOTENCY_KEY, Service

PUNCH, REPORT = "punch", "report"
LOGIN_EVERY, REPORT_EVERY = 20, 200
_ID = re.compile(rb'"id": ?(\d+)')


def punch_load(service: Service, people: list[int]) -> Run:
    """Clock-in/out cycles, each person on a connection of their own."""

    def run(seconds: float) -> Sample:
        scripts = [puncher(service.punches(person)) for person in people]
        sample = Sample.of(drive(service.base_url, scripts, seconds), PUNCH)
        return replace(sample, rate=sample.rate / 2)  # two punches make a cycle; how long each took stays

    return run


def puncher(punches: tuple[bytes, bytes], *, pause_seconds: float = 0) -> Script:
    """One person's day, over and over; each punch with a key of its own where there is a place for one."""
    clock_in, clock_out = punches
    entry_id = b"0"
    while True:
        started = yield Request(_keyed(clock_in), PUNCH, keep=True, pause_seconds=pause_seconds)
        if found := _ID.search(started.body):
            entry_id = found[1]
        message = _keyed(clock_out).replace(ENTRY_ID, entry_id)
        yield Request(message, PUNCH, may_end=False, pause_seconds=pause_seconds)


def _keyed(message: bytes) -> bytes:
    return message.replace(IDEMPOTENCY_KEY, uuid.uuid4().hex.encode())


def punch(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    people = list(scale.layout.crew)[:clients]
    services = [*scale.services, *([scale.bare] if scale.bare else [])]
    return {each.name: punch_load(each, people) for each in services}


def login(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    people = list(scale.layout.crew)[:clients]
    return {each.name: read_load(each, [each.login(person) for person in people]) for each in scale.services}


def nine_o_clock(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    people = list(scale.layout.crew)[:clients]
    return {each.name: _mixed(each, people) for each in scale.services}


def _mixed(service: Service, people: list[int]) -> Run:
    report = service.get(MANAGER, "/reports/team", **dates(MONTH))

    def run(seconds: float) -> Sample:
        service.sign_in(people)  # the logins of the last round ended the oldest sessions
        count = itertools.count(1)
        scripts = [_interrupted(puncher(service.punches(each)), count, service.login(each), report) for each in people]
        taken = drive(service.base_url, scripts, seconds)
        sample = Sample.of(taken, PUNCH)
        others = {"logins/s": taken.rates[DONE], "reports/s": taken.rates[REPORT]}
        return replace(sample, notes=others)

    return run


def _interrupted(punches: Script, count: "itertools.count[int]", login: bytes, report: bytes) -> Script:
    """Punches; of all clients' requests together each twentieth is a login before, each two-hundredth a report."""
    request = next(punches)
    while True:
        number = next(count)
        if number % REPORT_EVERY == 0:
            yield Request(report, REPORT, may_end=request.may_end)
        elif number % LOGIN_EVERY == 0:
            yield Request(login, DONE, may_end=request.may_end)
        else:
            answer = yield Request(request.message, PUNCH, request.may_end, request.keep)
            request = punches.send(answer)


SCENARIOS = (
    Scenario("punch", "Punches: clock in, clock out", "cycles/s", 32, punch),
    Scenario("login", "Logins", "logins/s", 8, login),
    Scenario("mixed", "Nine o'clock: punches among logins and reports", "punches/s", 32, nine_o_clock),
)
