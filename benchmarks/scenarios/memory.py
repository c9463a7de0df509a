"""Peak memory of each operation without pages, with many entries of one user: what one response takes at most."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from benchmarks.company import FIRST_EMPLOYEE, MANAGER, dates
from benchmarks.environment import FULL_REPORT_USER, Environment
from benchmarks.measure import OURS, Run, Sample
from benchmarks.scenarios.exports import PAUSE_SECONDS, measure_peak
from benchmarks.scenarios.scenario import Scenario

YEAR = (date(2026, 1, 1), date(2026, 12, 31))
NOTHING = (date(2026, 12, 31), date(2026, 12, 31))
SPLIT = {"attribution": "split"}
HISTORY = "/time-entries/{id}/history"


@dataclass(frozen=True)
class Read:
    """A request for a year, or with `params` that have dates of their own for something else."""

    name: str
    title: str
    path: str
    user: int = FIRST_EMPLOYEE
    params: dict[str, str] = field(default_factory=dict)
    has_period: bool = True


READS = (
    Read("own", "own entries", "/time-entries/me"),
    Read("own-split", "own entries, split", "/time-entries/me", params=SPLIT),
    Read("history", "history of an entry with a fifth as many changes", HISTORY, has_period=False),
    Read("days", "personal report, 20,000 entries", "/reports/me", FULL_REPORT_USER),
    Read("days-refused", "personal report", "/reports/me"),
    Read("sheet", "timesheet, 20,000 entries", "/reports/export/pdf", FULL_REPORT_USER, {"month": "2026-03"}, False),
    Read("sheet-refused", "timesheet", "/reports/export/pdf", params={"month": "2026-03"}, has_period=False),
    Read("team", "team report", "/reports/team", MANAGER),
    Read("team-split", "team report, split", "/reports/team", MANAGER, SPLIT),
    Read("team-sums", "team report without entries", "/reports/team", MANAGER, {"include_entries": "false"}),
    Read("summary", "summary by day", "/reports/summary", params={"group_by": "day"}),
    Read("csv", "CSV export", "/reports/export/csv", MANAGER),
    Read("xlsx", "XLSX export", "/reports/export/xlsx", MANAGER),
    Read("json", "JSON export", "/reports/export/json", MANAGER),
)  # fmt: skip


def memory_load(read: Read, environment: Environment, _: int) -> dict[str, Run]:
    """Measure one response in fresh processes, after a response without entries."""
    scale = environment.long_record
    path = read.path.format(id=environment.changed_entry)
    periods = [dates(NOTHING), dates(YEAR)] if read.has_period else [{}, {}]
    small, whole = (scale.ours.get(read.user, path, **period, **read.params) for period in periods)
    if not read.has_period:
        small = scale.ours.get(read.user, "/time-entries/me", **dates(NOTHING))

    def run(_: float) -> Sample:
        scale.ours.restart()
        time.sleep(PAUSE_SECONDS)
        before, _ = measure_peak(scale.ours, small)
        after, answer = measure_peak(scale.ours, whole)
        failures = Counter() if answer.is_good else Counter([answer.status])
        notes = {"MB": answer.size / 1e6, "peak MB": after, "MB above a small response": after - before}
        return Sample(1 / answer.seconds, answer.seconds * 1000, answer.seconds * 1000, failures, notes)

    return {OURS: run}


def _scenario(read: Read) -> Scenario:
    runs: Callable[[Environment, int], dict[str, Run]] = partial(memory_load, read)
    return Scenario(f"memory-{read.name}", f"Memory: {read.title}", "responses/s", 1, runs)


SCENARIOS = tuple(map(_scenario, READS))
