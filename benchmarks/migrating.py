"""What people who punch feel of a migration: `python -m benchmarks.migrating --entries 10000000`.

Fills a company, and lets a next release's migrations run as an operator starts them, one after the other, while eight
people punch with 50 ms between two punches. Prints rows for docs/operations.md.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy.engine import URL

from benchmarks.load import p50, p99
from benchmarks.services import API, Ours
from benchmarks.sized import Sized, sized
from tests.support.concurrency import Call, exchange, opened
from tests.support.releases import become_next, migrating, this_release

PEOPLE, PAUSE_SECONDS, QUIET_SECONDS = 8, 0.05, 20
MIGRATIONS = {
    "a column with a default on `time_entry`": """\
op.add_column("time_entry", sa.Column("place", sa.String(40), nullable=False, server_default="office"))""",
    "a CHECK on it, NOT VALID": """\
op.execute("ALTER TABLE time_entry ADD CONSTRAINT ck_time_entry_place CHECK (place <> '') NOT VALID")""",
    "the CHECK validated": """\
op.execute("ALTER TABLE time_entry VALIDATE CONSTRAINT ck_time_entry_place")""",
    "an index of two columns, CONCURRENTLY": """\
with outside_transaction():
    op.create_index("ix_time_entry_place", "time_entry", ["place", "start_time"], postgresql_concurrently=True)""",
}


@dataclass
class Felt:
    """What became of the punches meanwhile."""

    seconds: list[float] = field(default_factory=list)
    failed: Counter[int] = field(default_factory=Counter)


def measure(company: Sized) -> list[str]:
    """A row for no migration at all, and one for each."""
    release, service = this_release(company.folder), Ours(company.url, company.folder)
    try:
        rows = [_row(service, company, "no migration", partial(time.sleep, QUIET_SECONDS))]
        done: dict[str, str] = {}
        for name, statements in MIGRATIONS.items():
            done[f"next_{len(done) + 1}"] = statements
            become_next(release, **done)
            rows.append(_row(service, company, name, partial(_migrate, release, company.url)))
        return rows
    finally:
        service.stop()


def _migrate(release: Path, url: URL) -> None:
    migration = migrating(release, url.render_as_string(hide_password=False))
    said = migration.communicate()
    if migration.returncode:
        raise RuntimeError(f"The migration failed: {said}")


def _row(service: Ours, company: Sized, name: str, work: Callable[[], None]) -> str:
    began = time.monotonic()
    felt = asyncio.run(_punching_while(service, list(company.layout.crew)[:PEOPLE], work))
    lasted = time.monotonic() - began
    times = f"{p50(felt.seconds):.0f} ms | {p99(felt.seconds):.0f} ms | {max(felt.seconds) * 1000:.0f} ms"
    return f"| {name} | {lasted:.1f} | {len(felt.seconds):,} | {times} | {dict(felt.failed) or 0} |"


async def _punching_while(service: Ours, people: list[int], work: Callable[[], None]) -> Felt:
    felt, is_over = Felt(), asyncio.Event()

    async def punch(person: int) -> None:
        header = {"Authorization": f"Bearer {service.token(person)}"}
        body = {"project_id": 1, "description": ""}
        call = Call("POST", f"{service.base_url}{API}/time-entries/clock-in", header, body, {"switch": "true"})
        async with opened(service.base_url) as connection:
            while not is_over.is_set():
                began = time.perf_counter()
                answer = await exchange(call, *connection)
                felt.seconds.append(time.perf_counter() - began)
                if answer.status_code != 200:
                    felt.failed[answer.status_code] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(punch(person))
        await asyncio.to_thread(work)
        is_over.set()
    return felt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000, help="(10,000,000)")
    options = parser.parse_args()
    with sized(options.entries) as company:
        print("\n".join(measure(company)))


if __name__ == "__main__":
    main()
