"""A working day of a large company, scaled down: `python -m benchmarks.working_day`.

The day's arrival curve is replayed against the real service, two workers on PostgreSQL with fsync on, at a rate so many
times smaller than the company's. From what a request costs there, in processor time and in bytes of WAL, follows what
the whole company needs. People come when they come (an open loop), so a service that falls behind shows it.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy.engine import URL, make_url

from benchmarks.company import FIRST_EMPLOYEE, Layout
from benchmarks.load import Taken, p50, p99
from benchmarks.loading import load_ours
from benchmarks.open_loop import Due, replay
from benchmarks.services import IDEMPOTENCY_KEY, Ours, Service
from tests.support.concurrency import Call
from tests.support.databases import POSTGRESQL, fresh_database, make_templates
from tests.support.postgresql import PostgreSQLServer, connect

MINUTE, HOUR, DAY = 60, 3600, 86_400
LUNCH_HOURS, LUNCH_MINUTES = (3, 4), 30
ON_THE_DOT = 0.2
"""Who comes in the very minute before the hour, of those that begin with it: they wait for it at the terminal."""
LOGINS, OWN_MONTHS = 0.1, 0.3
"""Who logs in with their password when they come, and who looks at their month when they leave."""
HISTORY = 250_000


class Shift(NamedTuple):
    """When a part of the company works."""

    share: float
    begins_at: int
    hours: float
    spread_minutes: float
    """The standard deviation of when they come, and of when they leave."""


SHIFTS = (
    Shift(0.60, 9 * HOUR, 8.5, 8),
    Shift(0.15, 8 * HOUR, 8.5, 15),
    Shift(0.10, 6 * HOUR, 8, 4),
    Shift(0.10, 14 * HOUR, 8, 4),
    Shift(0.05, 22 * HOUR, 8, 4),
)


@dataclass(frozen=True)
class Replay:
    """A company of so many people, at a rate so many times smaller, in a day that passes so many times faster."""

    people: int
    scale: float
    speed: float
    begins_at: float
    ends_at: float
    connections: int

    @property
    def staff(self) -> int:
        """Who is replayed: their day, at this speed, makes the rate."""
        return max(1, round(self.people / self.scale / self.speed))


def day_of(chance: random.Random) -> Iterator[tuple[float, str]]:
    """One person's day: when in it, in seconds, they do what."""
    shift = chance.choices(SHIFTS, [each.share for each in SHIFTS])[0]
    comes_at = shift.begins_at - abs(chance.gauss(0, shift.spread_minutes * MINUTE))
    if chance.random() < ON_THE_DOT:
        comes_at = shift.begins_at - chance.random() * MINUTE
    if chance.random() < LOGINS:
        yield comes_at - 5, "login"
    yield comes_at, "clock-in"
    lunch_at = comes_at + chance.uniform(*LUNCH_HOURS) * HOUR
    yield lunch_at, "clock-out"
    yield lunch_at + LUNCH_MINUTES * MINUTE, "clock-in"
    leaves_at = shift.begins_at + shift.hours * HOUR + abs(chance.gauss(0, shift.spread_minutes * MINUTE))
    yield leaves_at, "clock-out"
    if chance.random() < OWN_MONTHS:
        yield leaves_at + 10, "own month"


def busiest_minute(people: int) -> tuple[str, float]:
    """The minute with the most punches in a day of so many people, and how many a second it has."""
    chance, sample = random.Random(1), 200_000  # noqa: S311 - a simulation
    minutes = Counter(
        int(at % DAY // MINUTE)
        for _ in range(sample)
        for at, deed in day_of(chance)
        if deed in {"clock-in", "clock-out"}
    )
    minute, punches = minutes.most_common(1)[0]
    return f"{minute // 60:02}:{minute % 60:02}", punches * people / sample / MINUTE


def requests_of(service: Service, wanted: Replay) -> list[Due]:
    """What the staff send in the hours replayed, in order. What is under way when those begin is not sent: a person's
    first punch in them is a clock-in."""
    chance = random.Random(7)  # noqa: S311
    deeds: list[tuple[float, int, str]] = []
    for person in range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + wanted.staff):
        is_in = False
        for at, deed in sorted((at % DAY, deed) for at, deed in day_of(chance)):
            if not wanted.begins_at <= at < wanted.ends_at or (deed == "clock-out" and not is_in):
                continue
            is_in = is_in if deed in {"login", "own month"} else deed == "clock-in"
            deeds.append((at, person, deed))
    return [
        Due((at - wanted.begins_at) / wanted.speed, f"{int(at // HOUR):02} {deed}", _message(service, person, deed, at))
        for at, person, deed in sorted(deeds)
    ]


def _message(service: Service, person: int, deed: str, at: float) -> bytes:
    if deed == "login":
        return service.login(person)
    if deed == "own month":
        return service.get(person, "/time-entries/me", start_date="2025-03-01", end_date="2025-03-31")
    clock_in, _ = service.punches(person, with_key=True)
    key = f"{person}-{at}".encode()
    if deed == "clock-in":
        return clock_in.replace(IDEMPOTENCY_KEY, key)
    headers = {"Authorization": f"Bearer {service.token(person)}", "Idempotency-Key": key.decode()}
    return Call("POST", f"{service.base_url}/api/v1/time-entries/clock-out", headers).message()


@dataclass(frozen=True)
class Cost:
    """What the service and the database spent."""

    service_seconds: float
    database_seconds: float
    wal_bytes: int

    @classmethod
    def until_now(cls, service: Service, server: PostgreSQLServer) -> "Cost":
        with closing(connect(server.url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
            (written,) = cursor.fetchone() or (0,)
        return cls(_processor_seconds(service.pid), _processor_seconds(server.pid), int(written))

    def since(self, earlier: "Cost") -> "Cost":
        return Cost(
            self.service_seconds - earlier.service_seconds,
            self.database_seconds - earlier.database_seconds,
            self.wal_bytes - earlier.wal_bytes,
        )


def _processor_seconds(pid: int) -> float:
    """Of a process and its children, the ended ones too."""
    leader = psutil.Process(pid)
    spent = [each.cpu_times() for each in (leader, *leader.children(recursive=True))]
    ended = leader.cpu_times()
    return sum(each.user + each.system for each in spent) + ended.children_user + ended.children_system


def page(wanted: Replay, taken: Taken, cost: Cost) -> str:
    """What was seen, by hour and deed, and what it says of the whole company."""
    lines = ["| hour | what | answers | p50, ms | p99, ms | worst, ms | failed |", "|---|---|---|---|---|---|---|"]
    for label in sorted(taken.seconds | taken.failures):
        seconds, failed = taken.seconds.get(label, []), taken.failures.get(label, Counter())
        hour, _, deed = label.partition(" ")
        worst = max(seconds, default=float("nan")) * 1000
        shown = ", ".join(f"{status}: {times}" for status, times in failed.items())
        figures = f"{len(seconds):,} | {p50(seconds):.1f} | {p99(seconds):.1f} | {worst:.0f}"
        lines.append(f"| {hour}:00 | {deed} | {figures} | {shown} |")
    requests = sum(map(len, taken.seconds.values())) + taken.failed.total()
    service_ms, database_ms, wal_bytes = (
        spent / requests for spent in (cost.service_seconds * 1000, cost.database_seconds * 1000, cost.wal_bytes)
    )
    minute, rate = busiest_minute(wanted.people)
    cores = {name: rate * ms / 1000 for name, ms in (("service", service_ms), ("database", database_ms))}
    return "\n".join(
        [
            *lines,
            "",
            f"{requests:,} requests; a request takes {service_ms:.2f} ms of processor time in the service and "
            f"{database_ms:.2f} ms in PostgreSQL, and writes {wal_bytes:,.0f} bytes of WAL.",
            "",
            f"{wanted.people:,} people punch {rate:,.0f} times a second in their busiest minute ({minute}). At that "
            f"price it takes {cores['service']:.1f} cores for the service and {cores['database']:.1f} for PostgreSQL, "
            f"all of each, and {rate * wal_bytes / 1e6:.1f} MB of WAL a second.",
        ]
    )


def measure(wanted: Replay, server: PostgreSQLServer, folder: Path) -> str:
    """Replay the day on a fresh company of as many people as are replayed, with a history."""
    make_templates(server.url, folder)
    with fresh_database(POSTGRESQL, folder, server.url, folder) as db_url:
        url: URL = make_url(db_url)
        load_ours(url, Layout.sized(wanted.staff, HISTORY))
        service = Ours(url, folder)
        try:
            requests = requests_of(service, wanted)
            print(f"{len(requests):,} requests of {wanted.staff:,} people", file=sys.stderr, flush=True)
            before = Cost.until_now(service, server)
            taken = replay(service.base_url, requests, wanted.connections)
            return page(wanted, taken, Cost.until_now(service, server).since(before))
        finally:
            service.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000, help="who work there (1,000,000)")
    parser.add_argument("--scale", type=float, default=20, help="how many times smaller the rate is (20)")
    parser.add_argument("--speed", type=float, default=144, help="how many times faster a day passes (144: 10 minutes)")
    parser.add_argument("--from-hour", type=float, default=0, help="the first hour replayed (0)")
    parser.add_argument("--to-hour", type=float, default=24, help="where it ends (24)")
    parser.add_argument("--connections", type=int, default=200, help="of the clients (200)")
    options = parser.parse_args()
    hours = options.from_hour * HOUR, options.to_hour * HOUR
    wanted = Replay(options.people, options.scale, options.speed, *hours, options.connections)
    server = PostgreSQLServer(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ett-bench-") as folder:
            print(measure(wanted, server, Path(folder)))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
