"""Measure the effect of many logins on punches: `python -m benchmarks.login_storm`.

Some users punch, each on their own connection. In the second phase 64 more clients log in as fast as they can. Both
phases use the same two worker processes, so that the ratio is comparable on a noisy machine. Memory is the sum of the
peaks of all processes during the logins; shared pages count in each.
"""

import argparse
from collections import Counter

from benchmarks.company import FIRST_EMPLOYEE, CompanySize
from benchmarks.environment import BenchmarkServer, benchmark_server
from benchmarks.load import Measurements, Request, Script, p50, p99, run_clients
from benchmarks.memory import PeakMemory
from benchmarks.scenarios.punches import PUNCH, punch_script
from benchmarks.scenarios.scenario import repeat_requests
from benchmarks.services import OurService
from tests.support.databases import ENGINES

LOGIN, PAUSE_SECONDS = "login", 0.1


def measure(engine: str, server: BenchmarkServer, options: argparse.Namespace) -> None:
    company_size = CompanySize(employees=options.people + options.clients, days_per_employee=1)
    service = server.stop_at_end(OurService(server.company(engine, company_size), server.folder))
    users = range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + options.people)
    visitors = range(users.stop, users.stop + options.clients)
    service.log_in(list(users))

    def punches() -> list[Script]:
        return [punch_script(service.punches(user), pause_seconds=PAUSE_SECONDS) for user in users]

    def logins() -> list[Script]:
        return [repeat_requests(Request(service.login(user), LOGIN)) for user in visitors]

    run_clients(service.base_url, punches(), 2)  # warm-up
    memory = PeakMemory(service.pid)
    for number in range(1, options.rounds + 1):
        quiet = run_clients(service.base_url, punches(), options.seconds)
        memory.reset()
        storm = run_clients(service.base_url, punches() + logins(), options.seconds)
        peak = memory.megabytes()
        before, meanwhile = quiet.seconds[PUNCH], storm.seconds[PUNCH]
        print(
            f"{engine}, round {number}: punches' p99 {p99(before):.0f} ms without logins ({len(before)}), "
            f"{p99(meanwhile):.0f} ms with logins ({len(meanwhile)}): {p99(meanwhile) / p99(before):.1f} x; "
            f"failed {_failures(storm, PUNCH)}; {storm.rates[LOGIN]:.0f} logins/s, failed {_failures(storm, LOGIN)}, "
            f"login median {p50(storm.seconds[LOGIN]):.0f} ms; peak {peak:.0f} MB",
            flush=True,
        )


def _failures(measurements: Measurements, label: str) -> dict[int, int]:
    """Return the failed requests by status."""
    return dict(measurements.failures.get(label, Counter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="clients that log in concurrently (default: 64)")
    parser.add_argument(
        "--people", type=int, default=8, help="users that punch, each at most ten times a second (default: 8)"
    )
    parser.add_argument("--seconds", type=float, default=15, help="seconds per phase (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both phases (default: 3)")
    options = parser.parse_args()
    for engine in ENGINES:
        with benchmark_server() as server:
            measure(engine, server, options)


if __name__ == "__main__":
    main()
