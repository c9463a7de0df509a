"""The definition of a scenario, and a load of repeated requests, which most scenarios use."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

from benchmarks.cpu_time import measure_cpu
from benchmarks.environment import Environment, Scale
from benchmarks.load import Request, Script, run_clients
from benchmarks.measure import Run, Sample
from benchmarks.memory import PeakMemory
from benchmarks.services import Service

DONE = "done"


@dataclass(frozen=True)
class Scenario:
    """A scenario. `runs` returns the variants, including this service, for an environment and a number of clients."""

    name: str
    title: str
    unit: str
    clients: int
    runs: Callable[[Environment, int], dict[str, Run]]

    def build_runs(self, environment: Environment) -> dict[str, Run]:
        return self.runs(environment, environment.options.clients or self.clients)


def repeat_requests(*requests: Request) -> Script:
    """Repeat the requests in order until the time is over."""
    for request in cycle(requests):  # noqa: UP028 - a script is sent answers, of which an iterator takes none
        yield request


def read_load(service: Service, messages: list[bytes]) -> Run:
    """Repeat one request per client."""

    def run(seconds: float) -> Sample:
        scripts = [repeat_requests(Request(message, DONE)) for message in messages]
        return Sample.of(run_clients(service.base_url, scripts, seconds), DONE)

    return run


def with_cpu_time(scale: Scale, service: Service, run: Run) -> Run:
    """Add the CPU time per request to the samples: of the service's processes, and of PostgreSQL with all of its own.

    SQLite runs in the service's processes. A failed request counts for nothing, but its time does.
    """
    processes = {"service": service.pid} | ({} if scale.is_sqlite else {"PostgreSQL": scale.postgresql_pid})

    def run_with_cpu_time(seconds: float) -> Sample:
        sample, cpu_seconds = measure_cpu(list(processes.values()), lambda: run(seconds))
        costs = (each * 1000 / max(sample.requests, 1) for each in cpu_seconds)
        notes = {f"CPU ms/request, {name}": cost for name, cost in zip(processes, costs, strict=True)}
        return replace(sample, notes=sample.notes | notes)

    return run_with_cpu_time


def with_memory(service: Service, run: Run) -> Run:
    """Add the peak memory of the service's processes to the samples of a run."""
    peak = PeakMemory(service.pid)

    def run_with_memory(seconds: float) -> Sample:
        peak.reset()
        sample = run(seconds)
        return replace(sample, notes=sample.notes | {"peak MB": peak.megabytes()})

    return run_with_memory
