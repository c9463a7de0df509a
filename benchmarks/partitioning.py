"""What a database in parts costs and gives: `python -m benchmarks.partitioning --entries 10000000`.

Fills a company, asks it for punches and months, runs deploy/scaling/partition_by_person.sql on it, and asks again.
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from benchmarks.company import Layout
from benchmarks.loading import load_ours
from benchmarks.measure import Sample
from benchmarks.scenarios.punches import punching
from benchmarks.scenarios.reads import asking_own_month
from benchmarks.services import Ours
from tests.support.backend import ROOT
from tests.support.databases import POSTGRESQL, fresh_database, make_templates
from tests.support.postgresql import PostgreSQLServer, connect

STATEMENTS = ROOT / "deploy" / "scaling" / "partition_by_person.sql"
EMPLOYEES, CLIENTS, ROUNDS = 10_000, 16, 3
SIZES = """
SELECT pg_size_pretty(sum(pg_table_size(oid))), pg_size_pretty(sum(pg_indexes_size(oid))) FROM pg_class
WHERE relname LIKE 'time_entry%' AND relkind = 'r'
"""


def ask(url: URL, folder: Path, layout: Layout, seconds: float) -> list[str]:
    """Punches and own months, by the crew, in turns; a line for each round."""
    service = Ours(url, folder)
    people = list(layout.crew)[:CLIENTS]
    try:
        runs = {
            "punch cycles": punching(service, people, with_key=True),
            "own months": asking_own_month(service, people),
        }
        return [f"| {name} | {_shown(run(seconds))} |" for _ in range(ROUNDS) for name, run in runs.items()]
    finally:
        service.stop()


def _shown(sample: Sample) -> str:
    return f"{sample.rate:,.0f} | {sample.p50_ms:.1f} | {sample.p99_ms:.1f} | {dict(sample.failures) or ''}"


def measure(server: PostgreSQLServer, folder: Path, entries: int, seconds: float) -> list[str]:
    layout = Layout.sized(EMPLOYEES, entries)
    make_templates(server.url, folder)
    with fresh_database(POSTGRESQL, folder, server.url, folder) as db_url:
        url = make_url(db_url)
        load_ours(url, layout)
        lines = [f"{layout.entries:,} entries of {EMPLOYEES:,} people, in one table: {_sizes(url)}"]
        lines += ask(url, folder, layout, seconds)
        began = time.monotonic()
        with closing(connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"BEGIN; {STATEMENTS.read_text()}; COMMIT")
            lines.append(f"\nThe statements took {time.monotonic() - began:.0f} s.\n")
            cursor.execute("VACUUM (ANALYZE)")
        lines.append(f"In 64 parts: {_sizes(url)}")
        return lines + ask(url, folder, layout, seconds)


def _sizes(url: URL) -> str:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(SIZES)
        return "{} of rows, {} of indexes".format(*(cursor.fetchone() or ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000, help="(10,000,000)")
    parser.add_argument("--seconds", type=float, default=10, help="a phase (10)")
    options = parser.parse_args()
    server = PostgreSQLServer(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ett-bench-") as folder:
            print("\n".join(measure(server, Path(folder), options.entries, options.seconds)))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
