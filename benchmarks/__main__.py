"""How fast the service is, beside the limits of its parts and, if one is given, a baseline: `python -m benchmarks`.

Things compared take turns in one run, round by round, so that their ratios say more than the figures on a noisy
machine. Figures go to stderr as they come; the page at the end to --output, else to stdout.
"""

import argparse
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from benchmarks import report
from benchmarks.measure import Result, compare
from benchmarks.scenarios import SCENARIOS
from benchmarks.site import Ground, Site, Wanted
from tests.support.databases import ENGINES, make_templates
from tests.support.postgresql import PostgreSQLServer, connect


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the blocks that stop what was started
    options = _options()
    wanted = _wanted(options)
    engines = ENGINES if options.engine == "both" else (options.engine,)
    server = PostgreSQLServer(durable=True)
    results: list[Result] = []
    try:
        for engine in reversed(engines):
            results += _measure(engine, server.url, options.scenarios, wanted)
        facts = [_server_facts(server.url), f"{wanted.seconds:g} s a phase, {wanted.rounds} rounds"]
    finally:
        server.stop()
    report.write(report.page(results, _command(), facts), options.output)


def _measure(engine: str, server: URL, names: list[str], wanted: Wanted) -> list[Result]:
    results = []
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="ett-bench-")))
        make_templates(server, folder)
        site = Site(engine, Ground(server, folder, kept), wanted)
        for scenario in (SCENARIOS[name] for name in names):
            runs = scenario.on(site)
            results.append(compare(scenario, engine, runs, seconds=wanted.seconds, rounds=wanted.rounds))
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"which ({', '.join(SCENARIOS)}; all of them)")
    parser.add_argument("--seconds", type=float, default=5, help="a phase (5)")
    parser.add_argument("--rounds", type=int, default=3, help="phases of each thing compared (3)")
    parser.add_argument("--clients", type=int, help="at once, 50 at most (each scenario's own number)")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="postgresql", help="(postgresql)")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large company (1,000,000)")
    parser.add_argument("--employees", type=int, default=10_000, help="of the large company (10,000)")
    parser.add_argument("--large", action="store_true", help="everything on the large company")
    parser.add_argument("--csv-rows", type=int, default=1_000_000, help="(1,000,000)")
    parser.add_argument("--xlsx-rows", type=int, default=100_000, help="(100,000)")
    parser.add_argument("--no-keys", action="store_true", help="punches without an Idempotency-Key")
    parser.add_argument("--baseline", type=Path, help="folder of an app with the settled routes, run beside ours")
    parser.add_argument("--baseline-python", default=sys.executable, help="the interpreter it needs (this one)")
    parser.add_argument("--output", type=Path, help="a markdown file (stdout)")
    options = parser.parse_args()
    options.scenarios = options.scenarios or list(SCENARIOS)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"There is no scenario {', '.join(sorted(unknown))}: choose from {', '.join(SCENARIOS)}.")
    return options


def _wanted(options: argparse.Namespace) -> Wanted:
    return Wanted(
        seconds=options.seconds,
        rounds=options.rounds,
        clients=options.clients,
        entries=options.entries,
        employees=options.employees,
        csv_rows=options.csv_rows,
        xlsx_rows=options.xlsx_rows,
        with_keys=not options.no_keys,
        everything_large=options.large,
        baseline=options.baseline,
        baseline_python=options.baseline_python,
    )


def _command() -> str:
    """As it was typed, without the folders of the machine it was typed on."""
    typed = [Path(each).name if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks", *typed])


def _server_facts(server: URL) -> str:
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (number,) = cursor.fetchone() or ("",)
    return f"PostgreSQL {number}, fsync on, psycopg2 {psycopg2.__version__}; SQLite in WAL, synchronous FULL"


if __name__ == "__main__":
    main()
