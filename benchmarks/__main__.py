"""How fast the service is, beside the limits of its parts and, if one is given, a baseline: `python -m benchmarks`.

Things compared take turns in one run, round by round, so that their ratios say more than the figures on a noisy
machine. Figures go to stderr as they come, a page in markdown to stdout at the end.
"""

import argparse
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
        environment = Environment(server, options)
        for scenario in (SCENARIOS[name] for name in options.scenarios):
            result = Result(scenario.name, scenario.title, options.engine, scenario.unit)
            compare(result, scenario.build_runs(environment), seconds=options.seconds, rounds=options.rounds)
            results.append(result)
        facts = [_server_facts(server.postgresql.url), f"{options.seconds:g} s a phase, {options.rounds} rounds"]
    print(report.page(results, _command(), facts))


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"which ({', '.join(SCENARIOS)}; all of them)")
    parser.add_argument("--seconds", type=float, help="a phase (5)")
    parser.add_argument("--rounds", type=int, help="phases of each thing compared (3)")
    parser.add_argument("--clients", type=int, help="at once, 50 at most (each scenario's own number)")
    parser.add_argument("--engine", choices=ENGINES, help="(postgresql)")
    parser.add_argument("--entries", type=int, help="of the large company (1,000,000)")
    parser.add_argument("--employees", type=int, help="of the large company (10,000)")
    parser.add_argument("--csv-rows", type=int, help="(1,000,000)")
    parser.add_argument("--xlsx-rows", type=int, help="(100,000)")
    parser.add_argument("--baseline", type=Path, help="folder of an app with the settled routes, run beside ours")
    parser.add_argument("--baseline-python", help="the interpreter it needs (this one)")
    options = parser.parse_args(namespace=Options())
    options.scenarios = options.scenarios or list(SCENARIOS)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"There is no scenario {', '.join(sorted(unknown))}: choose from {', '.join(SCENARIOS)}.")
    return options


def _command() -> str:
    """The command line as it was typed, without the folders of the machine it was typed on."""
    typed = [Path(each).name if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks", *typed])


def _server_facts(server: URL) -> str:
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (number,) = cursor.fetchone() or ("",)
    return f"PostgreSQL {number}, fsync on, psycopg2 {version('psycopg2-binary')}; SQLite in WAL, synchronous FULL"


if __name__ == "__main__":
    main()
