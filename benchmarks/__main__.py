"""Compare the service with the limits of its parts and, if given, with a baseline: `python -m benchmarks`.

The variants run in turn in every round, so that ratios stay comparable on a noisy machine. Single results go to stderr
as they arrive. A Markdown page goes to stdout at the end.
"""

import argparse
import itertools
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from sqlalchemy.engine import URL

from benchmarks import report
from benchmarks.environment import Environment, Options, benchmark_server
from benchmarks.measure import Result, compare
from benchmarks.scenarios import SCENARIOS
from tests.support.databases import ENGINES
from tests.support.postgresql import connect


def main() -> None:
    options = _options()
    results: list[Result] = []
    with benchmark_server() as server:
        environments = {engine: Environment(server, options, engine) for engine in options.engine}
        for name, (engine, environment) in itertools.product(options.scenarios, environments.items()):
            scenario = SCENARIOS[name]
            result = Result(scenario.name, scenario.title, engine, scenario.unit)
            compare(result, scenario.build_runs(environment), seconds=options.seconds, rounds=options.rounds)
            results.append(result)
        facts = [_server_facts(server.postgresql.url), f"{options.seconds:g} s per phase, {options.rounds} rounds"]
    print(report.page(results, _command(), facts))


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"scenarios to run ({', '.join(SCENARIOS)}; default: all)")
    parser.add_argument("--seconds", type=float, help="seconds per phase (default: 5)")
    parser.add_argument("--rounds", type=int, help="measured phases per variant (default: 3)")
    parser.add_argument("--clients", type=int, help="concurrent clients, at most 50 (default: set by each scenario)")
    parser.add_argument("--engine", nargs="+", choices=ENGINES, help="database engines (default: postgresql)")
    parser.add_argument("--entries", type=int, help="time entries of the large company (default: 1,000,000)")
    parser.add_argument("--employees", type=int, help="employees of the large company (default: 10,000)")
    parser.add_argument("--csv-rows", type=int, help="rows of the CSV export (default: 1,000,000)")
    parser.add_argument("--xlsx-rows", type=int, help="rows of the XLSX export (default: 100,000)")
    parser.add_argument(
        "--baseline", type=Path, help="folder of another app with the same routes, measured in turn with this one"
    )
    parser.add_argument("--baseline-python", help="Python interpreter for the baseline (default: this one)")
    options = parser.parse_args(namespace=Options())
    options.scenarios = options.scenarios or list(SCENARIOS)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"Unknown scenario: {', '.join(sorted(unknown))}. Choose from {', '.join(SCENARIOS)}.")
    return options


def _command() -> str:
    """Return the command line with absolute paths shortened to their last part."""
    typed = [Path(each).name if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks", *typed])


def _server_facts(server: URL) -> str:
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (number,) = cursor.fetchone() or ("",)
    return f"PostgreSQL {number}, fsync on, psycopg2 {version('psycopg2-binary')}; SQLite in WAL, synchronous FULL"


if __name__ == "__main__":
    main()
