"""What a login storm does to the punches: `python -m benchmarks.login_storm`.

Some people punch, each on a connection of their own; then 64 clients log in as fast as they are let, beside them. Both
phases run against the same two workers, so that the ratio says more than the figures on a noisy machine. Memory is what
all processes of the service hold at most (unique set size, summed) while the storm lasts.
"""

import argparse
import asyncio
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.models.users import User
from tests.support.concurrency import Call, exchange, opened
from tests.support.credentials import session_of
from tests.support.databases import ENGINES, fresh_database, make_templates, settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.postgresql import PostgreSQLServer
from tests.support.server_process import Backend

Taken = list[tuple[float, int]]
"""Seconds that each request took, and its status."""


async def repeat(calls: list[Call], ends: float, taken: Taken, *, pause: float = 0) -> None:
    """Send the calls one after another, again and again, on one connection."""
    async with opened(calls[0].url) as connection:
        while time.monotonic() < ends:
            for call in calls:
                started = time.monotonic()
                answer = await exchange(call, *connection)
                taken.append((time.monotonic() - started, answer.status_code))
                if pause:
                    await asyncio.sleep(pause)


async def phase(punchers: list[list[Call]], logins: list[Call], seconds: float) -> tuple[Taken, Taken]:
    """All at once for some seconds; what the punches took, and what the logins did."""
    ends, punched, logged_in = time.monotonic() + seconds, Taken(), Taken()
    async with asyncio.TaskGroup() as together:
        for calls in punchers:
            together.create_task(repeat(calls, ends, punched, pause=0.1))
        for call in logins:
            together.create_task(repeat([call], ends, logged_in))
    return punched, logged_in


def p99(taken: Taken) -> float:
    """In milliseconds."""
    return statistics.quantiles((seconds * 1000 for seconds, _ in taken), n=100)[98]


class Memory:
    """Watches a process and its children until it is told to stop."""

    def __init__(self, pid: int) -> None:
        self._process, self._stopped, self.peak = psutil.Process(pid), threading.Event(), 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        """The peak in MB."""
        self._stopped.set()
        self._thread.join()
        return self.peak / 2**20

    def _watch(self) -> None:
        while not self._stopped.wait(0.25):
            family = [self._process, *self._process.children(recursive=True)]
            self.peak = max(self.peak, sum(each.memory_full_info().uss for each in family))


def measure(db_url: str, folder: Path, options: argparse.Namespace) -> None:
    settings = settings_for(db_url)
    database, signer = Database(settings), TokenSigner(settings)
    company = Company(database)
    website = company.project("Website")
    staff = [company.employee(f"Person {number}") for number in range(options.people)]
    visitors = [company.employee(f"Visitor {number}") for number in range(options.clients)]
    backend = Backend(db_url, folder, workers=2)
    entries = f"{backend.base_url}/api/v1/time-entries"

    def punches(person: User) -> list[Call]:
        token = session_of(database, person)
        header = {"Authorization": f"Bearer {signer.sign(token.user_id, token.session_id, at=utc_now())}"}
        body = {"project_id": website.id, "description": ""}
        return [Call("POST", f"{entries}/clock-in", header, body), Call("POST", f"{entries}/clock-out", header)]

    login = f"{backend.base_url}/api/v1/auth/login"
    storm = [Call("POST", login, form=f"username={each.email}&password={PASSWORD}") for each in visitors]
    punchers = [punches(person) for person in staff]
    asyncio.run(phase(punchers, [], 2))  # warm
    for number in range(options.rounds):
        quiet, _ = asyncio.run(phase(punchers, [], options.seconds))
        memory = Memory(backend.pid)
        stormy, logins = asyncio.run(phase(punchers, storm, options.seconds))
        peak = memory.stop()
        print(
            f"{database.engine.dialect.name}, round {number + 1}: punches' p99 {p99(quiet):.0f} ms quiet "
            f"({len(quiet)}), {p99(stormy):.0f} ms in the storm ({len(stormy)}): {p99(stormy) / p99(quiet):.1f} x; "
            f"punches by status {dict(Counter(status for _, status in stormy))}, "
            f"logins {dict(Counter(status for _, status in logins))}, "
            f"a login's median {statistics.median(seconds for seconds, _ in logins):.1f} s; peak {peak:.0f} MB",
            flush=True,
        )
    backend.stop()
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="who log in at once (64)")
    parser.add_argument("--people", type=int, default=8, help="who punch, ten times a second at most each (8)")
    parser.add_argument("--seconds", type=float, default=15, help="a phase (15)")
    parser.add_argument("--rounds", type=int, default=3, help="of both phases (3)")
    options = parser.parse_args()
    server = PostgreSQLServer(durable=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            make_templates(server.url, Path(folder))
            for engine in ENGINES:
                with fresh_database(engine, Path(folder), server.url, Path(folder)) as db_url:
                    measure(db_url, Path(folder), options)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
