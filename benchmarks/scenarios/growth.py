"""The cost of a large database: the same requests of the same team with 100,000 entries, and with many more."""

from collections.abc import Callable

from benchmarks.environment import Environment, Scale
from benchmarks.measure import OURS, Run
from benchmarks.scenarios.punches import punch_load
from benchmarks.scenarios.reads import own_month_load
from benchmarks.scenarios.scenario import Scenario, with_cpu_time
from benchmarks.services import Service

START = "at 100,000 entries"


def growing_punches(environment: Environment, clients: int) -> dict[str, Run]:
    return _compare_scales(environment, clients, punch_load)


def growing_months(environment: Environment, clients: int) -> dict[str, Run]:
    return _compare_scales(environment, clients, own_month_load)


def _compare_scales(
    environment: Environment, clients: int, load: Callable[[Service, list[int]], Run]
) -> dict[str, Run]:
    def run_at(scale: Scale) -> Run:
        return with_cpu_time(scale, scale.ours, load(scale.ours, list(scale.company_size.team)[:clients]))

    return {OURS: run_at(environment.large), START: run_at(environment.growth_start)}


SCENARIOS = (
    Scenario("growth-punch", "Punches on a large database", "cycles/s", 32, growing_punches),
    Scenario("growth-own-month", "Own month on a large database", "responses/s", 16, growing_months),
)
