"""What every scenario is, and the load that most of them are: the same request again and again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

from benchmarks.load import Request, Script, drive
from benchmarks.measure import Run, Sample
from benchmarks.memory import Peak
from benchmarks.services import Service
from benchmarks.site import Site

DONE = "done"


@dataclass(frozen=True)
class Scenario:
    """`runs` makes the things compared, ours among them, on a site with a number of clients."""

    name: str
    title: str
    unit: str
    clients: int
    runs: Callable[[Site, int], dict[str, Run]]

    def on(self, site: Site) -> dict[str, Run]:
        return self.runs(site, site.wanted.clients or self.clients)


def repeated(message: bytes) -> Script:
    """The same request until the time is over."""
    request = Request(message, DONE)
    while True:
        yield request


def each_in_turn(messages: list[bytes]) -> Script:
    for message in cycle(messages):
        yield Request(message, DONE)


def asking(service: Service, messages: list[bytes]) -> Run:
    """Each client repeats its own request."""

    def run(seconds: float) -> Sample:
        return Sample.of(drive(service.base_url, [repeated(message) for message in messages], seconds), DONE)

    return run


def with_memory(service: Service, run: Run) -> Run:
    """The same, and how much memory the service's processes held at most meanwhile."""
    peak = Peak(service.pid)

    def watched(seconds: float) -> Sample:
        peak.reset()
        sample = run(seconds)
        return replace(sample, notes=sample.notes | {"peak MB": peak.megabytes()})

    return watched
