"""What a login storm does to the punches: `python -m benchmarks.login_storm`.

Some people punch, each on a connection of their own; then 64 clients log in as fast as they are let, beside them. Both
phases run against the same two workers, so that the ratio says more than the figures on a noisy machine. Memory is the
most that the service's processes held in the storm, summed, shared pages counted in each.
"""

import argparse
from collections import Counter

from benchmarks.company import FIRST_EMPLOYEE, Layout
from benchmarks.environment import BenchmarkServer, benchmark_server
from benchmarks.load import Request, Script, Taken, drive, p50, p99
from benchmarks.memory import PeakMemory
from benchmarks.scenarios.punches import PUNCH, puncher
from benchmarks.scenarios.scenario import in_turn
from benchmarks.services import Ours
from tests.support.databases import ENGINES

LOGIN, PAUSE_SECONDS = "login", 0.1


def measure(engine: str, server: BenchmarkServer, options: argparse.Namespace) -> None:
    layout = Layout(employees=options.people + options.clients, days_each=1)
    service = server.stop_at_end(Ours(server.company(engine, layout), server.folder))
    staff = range(FIRST_EMPLOYEE, FIRST_EMPLOYEE + options.people)
    visitors = range(staff.stop, staff.stop + options.clients)
    service.sign_in(list(staff))

    def punches() -> list[Script]:
        return [puncher(service.punches(person), pause_seconds=PAUSE_SECONDS) for person in staff]

    def logins() -> list[Script]:
        return [in_turn(Request(service.login(person), LOGIN)) for person in visitors]

    drive(service.base_url, punches(), 2)  # warm
    memory = PeakMemory(service.pid)
    for number in range(1, options.rounds + 1):
        quiet = drive(service.base_url, punches(), options.seconds)
        memory.reset()
        storm = drive(service.base_url, punches() + logins(), options.seconds)
        peak = memory.megabytes()
        before, meanwhile = quiet.seconds[PUNCH], storm.seconds[PUNCH]
        print(
            f"{engine}, round {number}: punches' p99 {p99(before):.0f} ms quiet ({len(before)}), "
            f"{p99(meanwhile):.0f} ms in the storm ({len(meanwhile)}): {p99(meanwhile) / p99(before):.1f} x; "
            f"failed {_failures(storm, PUNCH)}; {storm.rates[LOGIN]:.0f} logins/s, failed {_failures(storm, LOGIN)}, "
            f"a login's median {p50(storm.seconds[LOGIN]):.0f} ms; peak {peak:.0f} MB",
            flush=True,
        )


def _failures(taken: Taken, label: str) -> dict[int, int]:
    """How many, by status."""
    return dict(taken.failures.get(label, Counter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="who log in at once (64)")
    parser.add_argument("--people", type=int, default=8, help="who punch, ten times a second at most each (8)")
    parser.add_argument("--seconds", type=float, default=15, help="a phase (15)")
    parser.add_argument("--rounds", type=int, default=3, help="of both phases (3)")
    options = parser.parse_args()
    for engine in ENGINES:
        with benchmark_server() as server:
            measure(engine, server, options)


if __name__ == "__main__":
    main()
