"""What a grown database costs: the same requests by the same crew, on 100,000 entries and on as many as asked for."""

from collections.abc import Callable

from benchmarks.measure import OURS, Run
from benchmarks.scenarios.punches import punching
from benchmarks.scenarios.reads import asking_own_month
from benchmarks.scenarios.scenario import Scenario
from benchmarks.services import Service
from benchmarks.site import Site, World

START = "at 100,000 entries"


def growing_punches(site: Site, clients: int) -> dict[str, Run]:
    with_key = site.wanted.with_keys
    return _at_both(site, clients, lambda service, people: punching(service, people, with_key=with_key))


def growing_months(site: Site, clients: int) -> dict[str, Run]:
    return _at_both(site, clients, asking_own_month)


def _at_both(site: Site, clients: int, made: Callable[[Service, list[int]], Run]) -> dict[str, Run]:
    def at(world: World) -> Run:
        return made(world.ours, list(world.layout.crew)[:clients])

    return {OURS: at(site.large), START: at(site.growth_start)}


SCENARIOS = (
    Scenario("growth-punch", "Punches on a grown database", "cycles/s", 32, growing_punches),
    Scenario("growth-own-month", "Own month on a grown database", "answers/s", 16, growing_months),
)
