"""Punches, logins, and the peak at nine o'clock."""

import itertools
import re
import uuid
from dataclasses import replace

from benchmarks.company import MANAGER, MONTH, dates
from benchmarks.environment import Environment
from benchmarks.load import Request, Script, run_clients
from benchmarks.measure import Run, Sample
from benchmarks.scenarios.scenario import DONE, Scenario, read_load, with_cpu_time
from benchmarks.services import ENTRY_ID, IDEMPOTENCY_KEY, Service

PUNCH, REPORT = "punch", "report"
LOGIN_EVERY, REPORT_EVERY = 20, 200
_ID = re.compile(rb'"id": ?(\d+)')


def punch_load(service: Service, user_ids: list[int]) -> Run:
    """Measure cycles of clock-in and clock-out, each user on their own connection."""

    def run(seconds: float) -> Sample:
        scripts = [punch_script(service.punches(user)) for user in user_ids]
        sample = Sample.of(run_clients(service.base_url, scripts, seconds), PUNCH)
        return replace(sample, rate=sample.rate / 2)  # a cycle is two punches; latencies are per punch

    return run


def punch_script(punches: tuple[bytes, bytes], *, pause_seconds: float = 0) -> Script:
    """Repeat the punches of one user, each with a new Idempotency-Key if the service supports it."""
    clock_in, clock_out = punches
    entry_id = b"0"
    while True:
        started = yield Request(_with_idempotency_key(clock_in), PUNCH, keep_body=True, pause_seconds=pause_seconds)
        if match := _ID.search(started.body):
            entry_id = match[1]
        message = _with_idempotency_key(clock_out).replace(ENTRY_ID, entry_id)
        yield Request(message, PUNCH, may_end=False, pause_seconds=pause_seconds)


def _with_idempotency_key(message: bytes) -> bytes:
    return message.replace(IDEMPOTENCY_KEY, uuid.uuid4().hex.encode())


def punch(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    user_ids = list(scale.company_size.team)[:clients]
    services = [*scale.services, *([scale.bare] if scale.bare else [])]
    return {each.name: with_cpu_time(scale, each, punch_load(each, user_ids)) for each in services}


def login(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    user_ids = list(scale.company_size.team)[:clients]
    return {each.name: read_load(each, [each.login(user) for user in user_ids]) for each in scale.services}


def peak_load(environment: Environment, clients: int) -> dict[str, Run]:
    scale = environment.small
    user_ids = list(scale.company_size.team)[:clients]
    return {each.name: _mixed(each, user_ids) for each in scale.services}


def _mixed(service: Service, user_ids: list[int]) -> Run:
    report = service.get(MANAGER, "/reports/team", **dates(MONTH))

    def run(seconds: float) -> Sample:
        service.log_in(user_ids)  # the logins of the last round ended the oldest login sessions
        count = itertools.count(1)
        scripts = [
            _mix_in_requests(punch_script(service.punches(each)), count, service.login(each), report)
            for each in user_ids
        ]
        measurements = run_clients(service.base_url, scripts, seconds)
        sample = Sample.of(measurements, PUNCH)
        others = {"logins/s": measurements.rates[DONE], "reports/s": measurements.rates[REPORT]}
        return replace(sample, notes=others)

    return run


def _mix_in_requests(punches: Script, count: "itertools.count[int]", login: bytes, report: bytes) -> Script:
    """Mix other requests in: of all clients' requests, every twentieth is a login and every 200th a report."""
    request = next(punches)
    while True:
        number = next(count)
        if number % REPORT_EVERY == 0:
            yield Request(report, REPORT, may_end=request.may_end)
        elif number % LOGIN_EVERY == 0:
            yield Request(login, DONE, may_end=request.may_end)
        else:
            answer = yield Request(request.message, PUNCH, request.may_end, request.keep_body)
            request = punches.send(answer)


SCENARIOS = (
    Scenario("punch", "Punches: clock in, clock out", "cycles/s", 32, punch),
    Scenario("login", "Logins", "logins/s", 8, login),
    Scenario("mixed", "Nine o'clock: punches with logins and reports", "punches/s", 32, peak_load),
)
