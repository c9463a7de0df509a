"""What a database in parts costs and gives: `python -m benchmarks.partitioning --entries 10000000`.

Fills a company, asks it for punches and months, runs deploy/scaling/partition_by_person.sql on it, and asks again.
"""

import argparse
import time
from contextlib import closing

from sqlalchemy.engine import URL

from benchmarks.measure import Sample
from benchmarks.scenarios.punches import punching
from benchmarks.scenarios.reads import asking_own_month
from benchmarks.services import Ours
from benchmarks.sized import EMPLOYEES, Sized, sized
from tests.support.postgresql import connect
from tests.support.server_process import ROOT

STATEMENTS = ROOT / "deploy" / "scaling" / "partition_by_person.sql"
CLIENTS, ROUNDS = 16, 3
SIZES = """
SELECT pg_size_pretty(sum(pg_table_size(oid))), pg_size_pretty(sum(pg_indexes_size(oid))) FROM pg_class
WHERE relname LIKE 'time_entry%' AND relkind = 'r'
"""


def ask(company: Sized, seconds: float) -> list[str]:
    """Punches and own months, by the crew, in turns; a line for each round."""
    service = Ours(company.url, company.folder)
    people = list(company.layout.crew)[:CLIENTS]
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


def measure(company: Sized, seconds: float) -> list[str]:
    lines = [f"{company.layout.entries:,} entries of {EMPLOYEES:,} people, in one table: {_sizes(company.url)}"]
    lines += ask(company, seconds)
    began = time.monotonic()
    with closing(connect(company.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {STATEMENTS.read_text()}; COMMIT")
        lines.append(f"\nThe statements took {time.monotonic() - began:.0f} s.\n")
        cursor.execute("VACUUM (ANALYZE)")
    lines.append(f"In 64 parts: {_sizes(company.url)}")
    return lines + ask(company, seconds)


def _sizes(url: URL) -> str:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(SIZES)
        return "{} of rows, {} of indexes".format(*(cursor.fetchone() or ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000, help="(10,000,000)")
    parser.add_argument("--seconds", type=float, default=10, help="a phase (10)")
    options = parser.parse_args()
    with sized(options.entries) as company:
        print("\n".join(measure(company, options.seconds)))


if __name__ == "__main__":
    main()
