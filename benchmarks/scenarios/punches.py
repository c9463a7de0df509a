"""Punches, logins, and nine o'clock: what a company does when it comes to work."""

import itertools
import re
import uuid
from dataclasses import replace

from benchmarks.company import MANAGER, MONTH
from benchmarks.load import Request, Script, drive
from benchmarks.measure import Run, Sample
from benchmarks.scenarios.scenario import DONE, Scenario, asking
from benchmarks.services import ENTRY_ID, IDEMPOTENCY_KEY, Service
from benchmarks.site import Site

PUNCH, REPORT = "punch", "report"
LOGIN_EVERY, REPORT_EVERY = 20, 200
_ID = re.compile(rb'"id": ?(\d+)')


def punching(service: Service, people: list[int], *, with_key: bool) -> Run:
    """Clock-in/out cycles, each person on a connection of their own."""

    def run(seconds: float) -> Sample:
        scripts = [puncher(service.punches(person, with_key=with_key)) for person in people]
        return _of_two(Sample.of(drive(service.base_url, scripts, seconds), PUNCH))

    return run


def puncher(punches: tuple[bytes, bytes]) -> Script:
    """One person's day, over and over; each punch with a key of its own where there is a place for one."""
    clock_in, clock_out = punches
    entry_id = b"0"
    while True:
        started = yield Request(_keyed(clock_in), PUNCH, keep=True)
        if found := _ID.search(started.body):
            entry_id = found[1]
        yield Request(_keyed(clock_out).replace(ENTRY_ID, entry_id), PUNCH, may_end=False)


def _keyed(message: bytes) -> bytes:
    return message.replace(IDEMPOTENCY_KEY, uuid.uuid4().hex.encode())


def punch(site: Site, clients: int) -> dict[str, Run]:
    world, with_key = site.small, site.wanted.with_keys
    people = list(world.layout.crew)[:clients]
    runs: dict[str, Run] = {each.name: punching(each, people, with_key=with_key) for each in world.services}
    if bare := world.bare:
        runs["bare app"] = punching(bare, people, with_key=False)
    return runs


def _of_two(sample: Sample) -> Sample:
    """Two requests make a cycle; how long each took stays."""
    return replace(sample, rate=sample.rate / 2)


def login(site: Site, clients: int) -> dict[str, Run]:
    world = site.small
    people = list(world.layout.crew)[:clients]
    return {each.name: asking(each, [each.login(person) for person in people]) for each in world.services}


def nine_o_clock(site: Site, clients: int) -> dict[str, Run]:
    world = site.small
    people = list(world.layout.crew)[:clients]
    return {each.name: _mixed(each, people, with_key=site.wanted.with_keys) for each in world.services}


def _mixed(service: Service, people: list[int], *, with_key: bool) -> Run:
    report = service.get(MANAGER, "/reports/team", start_date=MONTH[0], end_date=MONTH[1])

    def run(seconds: float) -> Sample:
        service.sign_in(people)  # whoever logs in a hundred times loses their oldest session
        count = itertools.count(1)
        scripts = [
            _interrupted(puncher(service.punches(each, with_key=with_key)), count, service.login(each), report)
            for each in people
        ]
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
