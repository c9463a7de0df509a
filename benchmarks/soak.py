"""Run a mixed load for hours and check for leaks: `python -m benchmarks.soak --minutes 60`.

Users punch, log in, read and export. Some clients request missing objects, send no token, read slowly or disconnect
early. The memory, descriptors and threads of each worker are sampled, and the database connections are counted.

The exit code is 1 if a worker's memory grows by 5 % or more after the first sixth of the time. It is also 1 if a
resource was not released, or if a response was a 5xx. The related log lines are printed.
"""

import argparse
import re
import socket
import statistics
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from urllib.parse import urlsplit

import psutil
from sqlalchemy.engine import URL

from benchmarks.company import MANAGER, MONTH, CompanySize, dates
from benchmarks.environment import BenchmarkServer, benchmark_server
from benchmarks.load import CONNECTION_LOST, Measurements, Request, Script, p99, run_clients
from benchmarks.scenarios.punches import PUNCH, punch_script
from benchmarks.scenarios.scenario import repeat_requests
from benchmarks.services import API, WORKERS, OurService
from tests.support.concurrency import Call
from tests.support.databases import POSTGRESQL
from tests.support.postgresql import connect

LAYOUT = CompanySize(employees=60, days_per_employee=44)
PUNCHERS, READERS = 8, 2
SAMPLE_EVERY_SECONDS = 10
WARMUP_SHARE = 1 / 6
"""Share of the running time in which memory may still grow."""
MAX_GROWTH = 0.05
MAX_MORE_DESCRIPTORS = 10
MAX_CONNECTIONS = WORKERS * 7
COUNT_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
"""Counts client connections only. The view also lists the server's autovacuum and parallel workers."""
PERIOD = dates(MONTH)
LOG_PROBLEMS = re.compile(r"status=5\d\d|^\S+ (warning|error|critical)")
"""Matches log lines of responses with a 5xx, and of warnings and errors."""
MAX_LOG_LINES = 50


@dataclass(frozen=True)
class Sample:
    """Memory, descriptors and threads of a worker at one moment."""

    at: float
    pid: int
    megabytes: float
    descriptors: int
    threads: int


class Monitor:
    """Sampler of the workers and counter of connections, until the block ends."""

    def __init__(self, pid: int, database: URL) -> None:
        self._leader, self._database = psutil.Process(pid), database
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples: list[Sample] = []
        self.connections: list[int] = []

    def __enter__(self) -> "Monitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(SAMPLE_EVERY_SECONDS):
            for each in self._leader.children():
                if "spawn_main" in " ".join(each.cmdline()):
                    self.samples.append(_sample(each))
            with closing(connect(self._database)) as connection, connection.cursor() as cursor:
                cursor.execute(COUNT_CONNECTIONS)
                (count,) = cursor.fetchone() or (0,)
                self.connections.append(count)


def _sample(worker: psutil.Process) -> Sample:
    with worker.oneshot():
        return Sample(
            time.monotonic(),
            worker.pid,
            worker.memory_full_info().uss / 2**20,
            worker.num_fds(),
            worker.num_threads(),
        )


def build_scripts(service: OurService) -> list[Script]:
    """Return the scripts of all users, one per client."""
    team = list(LAYOUT.team)
    visitor, reader = team[-1], team[-2]

    def get(label: str, user: int, path: str, **params: object) -> Request:
        return Request(service.get(user, path, **params), label)

    readers = team[PUNCHERS : PUNCHERS + READERS]
    months = [[Request(service.own_month(user), "own month")] for user in readers]
    manager = [
        get("team report", MANAGER, "/reports/team", **PERIOD),
        get("presence", MANAGER, "/reports/presence"),
        get("summary", MANAGER, "/reports/summary", **PERIOD, group_by="user"),
        get("team", MANAGER, "/team"),
    ]
    export = [get(f"export {kind}", MANAGER, f"/reports/export/{kind}", **PERIOD) for kind in ("csv", "xlsx", "json")]
    wrong = [
        get("404", reader, "/time-entries/999999999"),
        get("422", reader, "/time-entries/me", start_date="yesterday", end_date=MONTH[1]),
        get("403", reader, "/admin/users"),
        Request(Call("GET", f"{service.base_url}{API}/auth/me").message(), "401"),
    ]
    login = [Request(service.login(visitor), "login")]
    return [
        *(punch_script(service.punches(user)) for user in team[:PUNCHERS]),
        *(repeat_requests(*requests) for requests in (*months, manager, export, wrong, login)),
    ]


def abort_downloads(service: OurService, is_over: threading.Event) -> None:
    """Request exports, read a part of each, sometimes slowly, and disconnect."""
    address = urlsplit(service.base_url)
    message = service.get(MANAGER, "/reports/export/csv", **PERIOD)
    for number in cycle(range(10)):
        if is_over.wait(1):
            return
        with suppress(OSError), socket.create_connection((address.hostname, address.port), timeout=30) as client:
            client.sendall(message)
            for _ in range(number):
                client.recv(1024)
                is_over.wait(0.2)


def find_problems(samples: list[Sample], connections: list[int], measurements: Measurements) -> list[str]:
    """Return the problems found; empty if there are none."""
    wrong = [
        f"{count} responses were {status}"
        for status, count in measurements.failed.items()
        if status >= 500 or status == CONNECTION_LOST
    ]
    if max(connections) > MAX_CONNECTIONS:
        wrong.append(f"{max(connections)} connections, limit {MAX_CONNECTIONS}")
    for pid in {sample.pid for sample in samples}:
        early, late = _first_and_last([sample for sample in samples if sample.pid == pid])
        growth = _median(late, "megabytes") / _median(early, "megabytes") - 1
        print(
            f"worker {pid}: {_median(early, 'megabytes'):.1f} MB early, {_median(late, 'megabytes'):.1f} MB at the end "
            f"({growth:+.1%}); descriptors {_median(early, 'descriptors'):.0f} and {_median(late, 'descriptors'):.0f}, "
            f"threads {_median(early, 'threads'):.0f} and {_median(late, 'threads'):.0f}"
        )
        if growth >= MAX_GROWTH:
            wrong.append(f"memory of worker {pid} grew by {growth:.1%}")
        if _median(late, "descriptors") > _median(early, "descriptors") + MAX_MORE_DESCRIPTORS:
            wrong.append(f"worker {pid} leaks descriptors")
    if len({sample.pid for sample in samples}) != WORKERS:
        wrong.append("worker processes were restarted")
    return wrong


def _first_and_last(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples of a period after the warm-up, and those of an equal period at the end."""
    first, last = samples[0].at, samples[-1].at
    part = (last - first) * WARMUP_SHARE
    early = [sample for sample in samples if first + part <= sample.at < first + 2 * part]
    return early, [sample for sample in samples if sample.at > last - part]


def _median(samples: list[Sample], figure: str) -> float:
    return float(statistics.median(getattr(sample, figure) for sample in samples))


def measure(server: BenchmarkServer, minutes: float) -> list[str]:
    url = server.company(POSTGRESQL, LAYOUT)
    service = server.stop_at_end(OurService(url, server.folder))
    scripts, is_over = build_scripts(service), threading.Event()
    aborting_thread = threading.Thread(target=abort_downloads, args=(service, is_over))
    aborting_thread.start()
    try:
        with Monitor(service.pid, url) as monitor:
            measurements = run_clients(service.base_url, scripts, minutes * 60)
    finally:
        is_over.set()
        aborting_thread.join()
    with service.log.open() as log:
        print(*islice(filter(LOG_PROBLEMS.search, log), MAX_LOG_LINES), sep="")
    for label, seconds in sorted(measurements.seconds.items()):
        print(f"{label}: {len(seconds):,}, p99 {p99(seconds):.0f} ms")
    print(f"failed responses: { ({label: dict(failed) for label, failed in measurements.failures.items()}) }")
    print(
        f"{sum(map(len, measurements.seconds.values())):,} responses, {len(measurements.seconds[PUNCH]):,} to punches"
    )
    return find_problems(monitor.samples, monitor.connections, measurements)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="duration in minutes (default: 60)")
    options = parser.parse_args()
    with benchmark_server() as server:
        wrong = measure(server, options.minutes)
    print("\n".join(wrong) or "No problems found.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
