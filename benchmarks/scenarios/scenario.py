"""What every scenario is, and the load that most of them are: the same request again and again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

from benchmarks.environment import Environment
from benchmarks.load import Request, Script, run_clients
from benchmarks.measure import Run, Sample
from benchmarks.memory import PeakMemory
from benchmarks.services import Service

DONE = "done"


@dataclass(frozen=True)
class Scenario:
    """`runs` makes the things compared, ours among them, in an environment with a number of clients."""

    name: str
    title: str
    unit: str
    clients: int
    runs: Callable[[Environment, int], dict[str, Run]]

    def build_runs(self, environment: Environment) -> dict[str, Run]:
        return self.runs(environment, environment.options.clients or self.clients)


def repeat_requests(*requests: Request) -> Script:
    """The requests one after the other, again and again, until the time is over."""
    for request in cycle(requests):  # noqa: UP028 - a script is sent answers, of which an iterator takes none
        yield request


def read_load(service: Service, messages: list[bytes]) -> Run:
    """Each client repeats its own request."""

    def run(seconds: float) -> Sample:
        scripts = [repeat_requests(Request(message, DONE)) for message in messages]
        return Sample.of(run_clients(service.base_url, scripts, seconds), DONE)

    return run


def with_memory(service: Service, run: Run) -> Run:
    """The same, and how much memory the service's processes held at most meanwhile."""
    peak = PeakMemory(service.pid)

    def run_with_memory(seconds: float) -> Sample:
        peak.reset()
        sample = run(seconds)
        return replace(sample, notes=sample.notes | {"peak MB": peak.megabytes()})

    return run_with_memory
