"""What the record and the kept answer add to a punch: `python -m benchmarks.punch_cost`.

Clock-in/out cycles straight through the services, without HTTP: once as they are, with their audit events, chain and an
Idempotency-Key each, and once as the bare statements behind them (lock and read, write the entry, commit). Both take
turns in one run, on each database, so that the ratio says more than the figures on a noisy machine.
"""

import argparse
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from app.core.database.migrations import migrate
from app.core.database.session import Database
from app.core.security.access_tokens import Claims
from app.core.time.clock import utc_now
from app.schemas.time_entries.clock import ClockIn
from app.services.access import locks
from app.services.time_entries import clock, entries
from tests.support.credentials import claims_of
from tests.support.databases import settings_for
from tests.support.factories import Company
from tests.support.postgresql import PostgreSQLServer, execute

Cycle = Callable[[Database, Claims, int], None]


def bare(database: Database, claims: Claims, project_id: int) -> None:
    """A cycle of the statements alone."""
    wanted, lock = {"user_id": claims.user_id, "project_id": project_id}, locks.lock_first(claims.user_id)
    at = utc_now()
    row = {
        "user_id": claims.user_id, "project_id": project_id, "start_time": at, "end_time": None, "description": "",
        "time_zone": "UTC", "needs_review": False, "version": 1, "created_at": at, "updated_at": at,
    }  # fmt: skip
    with database.writing() as session:
        session.execute(clock._STANDING, wanted, execution_options=lock).one()
        session.execute(entries._INSERT, row).scalar_one()
    with database.writing() as session:
        running = session.execute(clock._STANDING, wanted, execution_options=lock).one()
        closing = {"entry_id": running.open_id, "at": utc_now(), "is_stale": False, "next_version": 2}
        session.execute(clock._CLOSE, closing)


def whole(database: Database, claims: Claims, project_id: int) -> None:
    """A cycle as the service does it, each punch with a key of its own."""
    wanted = ClockIn(project_id=project_id, description="")
    with database.writing("benchmark") as session:
        clock.clock_in(session, claims, wanted, switch=False, key=uuid.uuid4().hex, at=utc_now())
    with database.writing("benchmark") as session:
        clock.clock_out_open(session, claims, key=uuid.uuid4().hex, at=utc_now())


def rate(cycle: Cycle, database: Database, staff: list[Claims], project_id: int, seconds: float) -> float:
    """Cycles a second, each person in a thread of their own."""
    counts = [0] * len(staff)
    ends = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < ends:
            cycle(database, staff[number], project_id)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(staff))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def measure(db_url: str, clients: int, seconds: float, rounds: int) -> None:
    database = Database(settings_for(db_url, DB_POOL_SIZE=max(clients, 2)))
    migrate(database)
    company = Company(database)
    website = company.project("Website")
    staff = [claims_of(database, company.employee(f"Person {number}")) for number in range(clients)]
    bare_rates, whole_rates = [], []
    for _ in range(rounds):
        bare_rates.append(rate(bare, database, staff, website.id or 0, seconds))
        whole_rates.append(rate(whole, database, staff, website.id or 0, seconds))
    ratio = statistics.median(plain / full for plain, full in zip(bare_rates, whole_rates, strict=True))
    name = database.engine.dialect.name
    print(
        f"{name}, {clients} at once: {statistics.median(bare_rates):.0f} bare and "
        f"{statistics.median(whole_rates):.0f} whole cycles/s; a whole punch costs {ratio:.2f} x a bare one"
    )
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=4, help="people who punch at once on PostgreSQL (4)")
    parser.add_argument("--seconds", type=float, default=3, help="a round (3)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (5)")
    options = parser.parse_args()
    server = PostgreSQLServer(durable=True)
    try:
        url = server.url.render_as_string(hide_password=False)
        for clients in sorted({1, options.clients}):
            measure(url if clients == 1 else _another(server), clients, options.seconds, options.rounds)
    finally:
        server.stop()
    with tempfile.TemporaryDirectory() as folder:
        measure(f"sqlite:///{Path(folder) / 'cost.db'}", 1, options.seconds, options.rounds)


def _another(server: PostgreSQLServer) -> str:
    execute(server.url, "CREATE DATABASE another")
    return server.url.set(database="another").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
