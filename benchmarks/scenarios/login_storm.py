"""The effect of many logins on punches.

Some users punch, each on their own connection, first alone. Then other clients also log in as fast as they can, for as
long again. Both use the same two worker processes, so that the ratio is comparable on a noisy machine. Memory is the
sum of the peaks of all processes during the logins; shared pages count in each.
"""

from dataclasses import replace

from benchmarks.company import FIRST_EMPLOYEE
from benchmarks.environment import Environment
from benchmarks.load import Request, Script, p50, p99, run_clients
from benchmarks.measure import OURS, Run, Sample
from benchmarks.memory import PeakMemory
from benchmarks.scenarios.punches import PUNCH, punch_script
from benchmarks.scenarios.scenario import Scenario, repeat_requests

LOGIN, PUNCHING_USERS, PAUSE_SECONDS = "login", 8, 0.1


def login_storm(environment: Environment, clients: int) -> dict[str, Run]:
    """Measure punches of 8 users, at most ten times a second each, while `clients` other users log in."""
    service = environment.growth_start.ours
    users = range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + PUNCHING_USERS)
    visitors = range(users.stop, users.stop + clients)
    memory = PeakMemory(service.pid)

    def punches() -> list[Script]:
        return [punch_script(service.punches(user), pause_seconds=PAUSE_SECONDS) for user in users]

    def run(seconds: float) -> Sample:
        service.log_in(list(users))
        quiet = run_clients(service.base_url, punches(), seconds)
        logins = [repeat_requests(Request(service.login(user), LOGIN)) for user in visitors]
        memory.reset()
        storm = run_clients(service.base_url, punches() + logins, seconds)
        quiet_p99 = p99(quiet.seconds[PUNCH])
        notes = {
            "p99 without logins, ms": quiet_p99,
            "p99 / it": p99(storm.seconds[PUNCH]) / quiet_p99,
            "logins/s": storm.rates[LOGIN],
            "login p50, ms": p50(storm.seconds[LOGIN]),
            "peak MB": memory.megabytes(),
        }
        return replace(Sample.of(storm, PUNCH), notes=notes)

    return {OURS: run}


SCENARIOS = (Scenario("login-storm", "Punches of 8 users while others log in", "punches/s", 64, login_storm),)
