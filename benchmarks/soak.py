"""Hours of mixed load, and what is left behind: `python -m benchmarks.soak --minutes 60`.

People punch, log in, read and export; some ask for what isn't there, show no token, read slowly or go away in the
middle. Meanwhile each worker's memory, descriptors and threads are looked at, and the database's connections. Exits
with 1 where memory still grows by 5 % after the first sixth of the time, something was not given back, or an answer was
a 5xx; what the service's log says of those is printed.
"""

import argparse
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy.engine import URL, make_url

from benchmarks.company import MANAGER, MONTH, Layout
from benchmarks.load import LOST, Request, Script, Taken, drive, p99
from benchmarks.loading import load_ours
from benchmarks.scenarios.punches import PUNCH, puncher
from benchmarks.services import API, WORKERS, Ours
from tests.support.concurrency import Call
from tests.support.databases import POSTGRESQL, fresh_database, make_templates
from tests.support.postgresql import PostgreSQLServer, connect

LAYOUT = Layout(employees=60, days_each=44)
PUNCHERS, READERS = 8, 2
LOOK_EVERY_SECONDS = 10
WARM = 1 / 6
"""The part of the time in which memory may still grow."""
MAX_GROWTH = 0.05
MAX_MORE_DESCRIPTORS = 10
POOLS = WORKERS * 7
COUNT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
"""Connections: the server's own autovacuum and parallel workers are in that view too."""
PERIOD = {"start_date": MONTH[0], "end_date": MONTH[1]}
AMISS = re.compile(r"status=5\d\d|^\S+ (warning|error|critical)")
"""Lines of the log."""
SHOWN = 50


@dataclass(frozen=True)
class Look:
    """What a worker holds at a moment."""

    at: float
    pid: int
    megabytes: float
    descriptors: int
    threads: int


class Watch:
    """Looks at the workers and the connections until the block ends."""

    def __init__(self, pid: int, database: URL) -> None:
        self._leader, self._database = psutil.Process(pid), database
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.looks: list[Look] = []
        self.connections: list[int] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_SECONDS):
            for each in self._leader.children():
                if "spawn_main" in " ".join(each.cmdline()):
                    self.looks.append(_look(each))
            with closing(connect(self._database)) as connection, connection.cursor() as cursor:
                cursor.execute(COUNT)
                (count,) = cursor.fetchone() or (0,)
                self.connections.append(count)


def _look(worker: psutil.Process) -> Look:
    with worker.oneshot():
        return Look(
            time.monotonic(),
            worker.pid,
            worker.memory_full_info().uss / 2**20,
            worker.num_fds(),
            worker.num_threads(),
        )


def scripts_of(service: Ours) -> list[Script]:
    """Everybody's work: each of these is a client."""
    crew = list(LAYOUT.crew)
    visitor, reader = crew[-1], crew[-2]
    get: Callable[..., bytes] = service.get
    months = [
        [(get(person, "/time-entries/me", **PERIOD), "own month")] for person in crew[PUNCHERS : PUNCHERS + READERS]
    ]
    manager = [
        (get(MANAGER, "/reports/team", **PERIOD), "team report"),
        (get(MANAGER, "/reports/presence"), "presence"),
        (get(MANAGER, "/reports/summary", **PERIOD, group_by="user"), "summary"),
        (get(MANAGER, "/team"), "team"),
    ]
    export = [(get(MANAGER, f"/reports/export/{kind}", **PERIOD), f"export {kind}") for kind in ("csv", "xlsx", "json")]
    wrong = [
        (get(reader, "/time-entries/999999999"), "404"),
        (get(reader, "/time-entries/me", start_date="yesterday", end_date=MONTH[1]), "422"),
        (get(reader, "/admin/users"), "403"),
        (Call("GET", f"{service.base_url}{API}/auth/me").message(), "401"),
    ]
    return [
        *(puncher(service.punches(person, with_key=True)) for person in crew[:PUNCHERS]),
        *map(_again_and_again, [*months, manager, export, wrong, [(service.login(visitor), "login")]]),
    ]


def _again_and_again(messages: list[tuple[bytes, str]]) -> Script:
    for message, label in cycle(messages):
        yield Request(message, label)


def leave_in_the_middle(service: Ours, is_over: threading.Event) -> None:
    """Ask for an export, read a little of it, sometimes slowly, and go; again and again."""
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


def verdict(looks: list[Look], connections: list[int], taken: Taken) -> list[str]:
    """What is wrong; nothing, if all is well."""
    wrong = [
        f"{count} answers were {status}" for status, count in taken.failed.items() if status >= 500 or status == LOST
    ]
    if max(connections) > POOLS:
        wrong.append(f"{max(connections)} connections of {POOLS}")
    for pid in {look.pid for look in looks}:
        own = [look for look in looks if look.pid == pid]
        early, late = _ends(own)
        growth = _median(late, "megabytes") / _median(early, "megabytes") - 1
        print(
            f"worker {pid}: {_median(early, 'megabytes'):.1f} MB then, {_median(late, 'megabytes'):.1f} MB at the end "
            f"({growth:+.1%}); descriptors {_median(early, 'descriptors'):.0f} and {_median(late, 'descriptors'):.0f}, "
            f"threads {_median(early, 'threads'):.0f} and {_median(late, 'threads'):.0f}"
        )
        if growth >= MAX_GROWTH:
            wrong.append(f"worker {pid} grew by {growth:.1%}")
        if _median(late, "descriptors") > _median(early, "descriptors") + MAX_MORE_DESCRIPTORS:
            wrong.append(f"worker {pid} keeps descriptors")
    if len({look.pid for look in looks}) != WORKERS:
        wrong.append("workers came and went")
    return wrong


def _ends(looks: list[Look]) -> tuple[list[Look], list[Look]]:
    """The looks of a while after the warm part, and those of as long at the end."""
    first, last = looks[0].at, looks[-1].at
    part = (last - first) * WARM
    early = [look for look in looks if first + part <= look.at < first + 2 * part]
    return early, [look for look in looks if look.at > last - part]


def _median(looks: list[Look], what: str) -> float:
    return statistics.median(getattr(look, what) for look in looks)


def measure(url: URL, folder: Path, minutes: float) -> list[str]:
    load_ours(url, LAYOUT)
    service = Ours(url, folder)
    is_over = threading.Event()
    leaver = threading.Thread(target=leave_in_the_middle, args=(service, is_over))
    try:
        scripts = scripts_of(service)
        leaver.start()
        with Watch(service.pid, url) as watch:
            taken = drive(service.base_url, scripts, minutes * 60)
    finally:
        is_over.set()
        leaver.join()
        service.stop()
    with service.log.open() as log:
        print(*islice(filter(AMISS.search, log), SHOWN), sep="")
    for label, seconds in sorted(taken.seconds.items()):
        print(f"{label}: {len(seconds):,}, p99 {p99(seconds):.0f} ms")
    print(f"other answers: { ({label: dict(failed) for label, failed in taken.failures.items()}) }")
    print(f"{sum(map(len, taken.seconds.values())):,} answers, {len(taken.seconds[PUNCH]):,} of them to punches")
    return verdict(watch.looks, watch.connections, taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="(60)")
    options = parser.parse_args()
    server = PostgreSQLServer(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ett-bench-") as folder:
            make_templates(server.url, Path(folder))
            with fresh_database(POSTGRESQL, Path(folder), server.url, Path(folder)) as db_url:
                wrong = measure(make_url(db_url), Path(folder), options.minutes)
    finally:
        server.stop()
    print("\n".join(wrong) or "All is well.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
