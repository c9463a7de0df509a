"""Measure the CPU time of a punch and of a user's month: `python -m benchmarks.punch_cost`.

The time in the workers and that in PostgreSQL are measured separately. With `--beside FOLDER` another checkout of this
project is measured too. It uses the same PostgreSQL server and the same company, in a database that it migrated itself.
The two are measured in turn, so that ratios are comparable on a noisy machine. The time of PostgreSQL is that of the
whole server with its background processes.
"""

import argparse
import statistics
from pathlib import Path
from typing import NamedTuple

from benchmarks.cpu_time import measure_cpu
from benchmarks.datasets import load_ours
from benchmarks.environment import SMALL_COMPANY, BenchmarkServer, benchmark_server
from benchmarks.load import Request, Script, run_clients
from benchmarks.scenarios.punches import punch_script
from benchmarks.scenarios.scenario import DONE, repeat_requests
from benchmarks.services import OurService
from tests.support.releases import start_migration
from tests.support.server_process import ROOT

THIS_CHECKOUT, OTHER_CHECKOUT = "this checkout", "the other checkout"


class Cost(NamedTuple):
    """CPU time of a request in milliseconds, or its ratio to another."""

    worker: float
    database: float
    both: float

    @classmethod
    def of(cls, worker: float, database: float) -> "Cost":
        return cls(worker, database, worker + database)

    def relative_to(self, other: "Cost") -> "Cost":
        return Cost(*(mine / its for mine, its in zip(self, other, strict=True)))

    def as_text(self, unit: str) -> str:
        return ", ".join(f"{name} {figure:.2f} {unit}" for name, figure in self._asdict().items())


Round = dict[str, Cost]
"""Costs by kind of request."""


class Checkout:
    """The service of a checkout with its database."""

    def __init__(self, root: Path, server: BenchmarkServer, clients: int) -> None:
        url = server.empty_database()
        migration = start_migration(root, url.render_as_string(hide_password=False))
        _, errors = migration.communicate()
        if migration.returncode:
            raise RuntimeError(f"The migration failed: {errors}")
        load_ours(url, SMALL_COMPANY)
        self._service = server.stop_at_end(OurService(url, server.folder, root))
        self._user_ids = list(SMALL_COMPANY.team)[:clients]
        self._service.log_in(self._user_ids)
        self._postgresql = server.postgresql

    def measure(self, seconds: float) -> Round:
        punches = [punch_script(self._service.punches(user)) for user in self._user_ids]
        months = [repeat_requests(Request(self._service.own_month(user), DONE)) for user in self._user_ids]
        return {"punch": self._cost(punches, seconds), "own month": self._cost(months, seconds)}

    def _cost(self, scripts: list[Script], seconds: float) -> Cost:
        processes = [self._service.pid, self._postgresql.pid]
        measurements, (worker, database) = measure_cpu(
            processes, lambda: run_clients(self._service.base_url, scripts, seconds)
        )
        if measurements.failed:
            raise RuntimeError(f"Requests failed, by status: {dict(measurements.failed)}")
        return Cost.of(worker * 1000 / measurements.requests, database * 1000 / measurements.requests)


def measure(checkouts: dict[str, Checkout], seconds: float, rounds: int) -> dict[str, list[Round]]:
    """Measure the rounds of each checkout, after one warm-up round. The order alternates from round to round."""
    measured: dict[str, list[Round]] = {name: [] for name in checkouts}
    for number in range(rounds + 1):
        for name in checkouts if number % 2 else reversed(checkouts):
            costs = checkouts[name].measure(seconds)
            _print(f"round {number}, {name}", costs, "ms")
            measured[name] += [costs] if number else []
    return measured


def _median(rounds: list[Round]) -> Round:
    return {
        name: Cost(*map(statistics.median, zip(*(costs[name] for costs in rounds), strict=True))) for name in rounds[0]
    }


def _print(title: str, costs: Round, unit: str) -> None:
    print(f"{title}: " + "; ".join(f"{name}: {cost.as_text(unit)}" for name, cost in costs.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="folder of another checkout, measured in turn with this one")
    parser.add_argument("--clients", type=int, default=16, help="concurrent users, at most 50 (default: 16)")
    parser.add_argument(
        "--seconds", type=float, default=4, help="seconds of punches, and of months, per round (default: 4)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds per checkout (default: 5)")
    options = parser.parse_args()
    roots = {THIS_CHECKOUT: ROOT} | ({OTHER_CHECKOUT: options.beside.resolve()} if options.beside else {})
    with benchmark_server() as server:
        checkouts = {name: Checkout(root, server, options.clients) for name, root in roots.items()}
        measured = measure(checkouts, options.seconds, options.rounds)
    for name, rounds in measured.items():
        _print(f"median, {name}", _median(rounds), "ms")
    if options.beside:
        pairs = zip(*measured.values(), strict=True)
        ratios = [{name: this[name].relative_to(beside[name]) for name in this} for this, beside in pairs]
        _print(f"{THIS_CHECKOUT} / {OTHER_CHECKOUT}, median of the rounds", _median(ratios), "x")


if __name__ == "__main__":
    main()
