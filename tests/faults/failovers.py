"""Repeated failovers under load: `python -m tests.faults.failovers --failovers 50`. Each takes some 45 s.

Prints table rows for docs/reliability.md. The exit code is 1 if an acknowledged punch is lost, or if an entry is
duplicated or was never sent. It is also 1 if writes failed for more than 30 s.
"""

import argparse
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import cycle, islice
from pathlib import Path

from app.core.config.settings import Settings
from app.core.database.migrations import migrate
from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.failover_scenarios import ETCD_FAULTS, FAULTS, measure_write_gap
from tests.support.credentials import create_login_session
from tests.support.databases import settings_for
from tests.support.factories import Company
from tests.support.punch_load import DurabilityResult, Writers, compare_with_database
from tests.support.server_process import Backend

WRITERS = 4
PAUSE_SECONDS = 0.1
MAX_WRITE_GAP_SECONDS = 30
TOKEN_MINUTES = 1440  # the maximum


def main() -> None:
    """Run the failover scenarios in turn, and one outage of etcd."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--failovers", type=int, default=50, help="number of failovers (default: 50)")
    failovers = parser.parse_args().failovers
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # otherwise SIGTERM would leave the cluster running

    with running_cluster() as cluster:
        settings = settings_for(cluster.db_url, ACCESS_TOKEN_EXPIRE_MINUTES=TOKEN_MINUTES)
        with closing(Database(settings)) as database:
            migrate(database)
            with _run_service(cluster) as backend:
                gaps, result = _fail_over(cluster, _create_writers(backend, database, settings), database, failovers)
    print(*_table_rows(gaps), sep="\n")
    worst_seconds = max(seconds for kind in gaps.values() for seconds in kind)
    sys.exit(int(result != DurabilityResult() or worst_seconds > MAX_WRITE_GAP_SECONDS))


@contextmanager
def _run_service(cluster: Cluster) -> Iterator[Backend]:
    """Run the service. It is started once and never restarted."""
    with tempfile.TemporaryDirectory(prefix="ett-failovers-") as folder:
        backend = Backend(cluster.db_url, Path(folder), ACCESS_TOKEN_EXPIRE_MINUTES=str(TOKEN_MINUTES))
        try:
            yield backend
        finally:
            backend.kill()


def _create_writers(backend: Backend, database: Database, settings: Settings) -> Writers:
    company, signer = Company(database), TokenSigner(settings)
    headers = []
    for number in range(WRITERS):
        login_session = create_login_session(database, company.employee(f"Person {number}"))
        token = signer.sign(login_session.user_id, login_session.session_id, at=utc_now())
        headers.append({"Authorization": f"Bearer {token}"})
    return Writers(backend.base_url, headers, company.project("Website").id or 0, pause_seconds=PAUSE_SECONDS)


def _fail_over(
    cluster: Cluster, writers: Writers, database: Database, failovers: int
) -> tuple[dict[str, list[float]], DurabilityResult]:
    """Run the failovers, then send failed punches again.

    Returns the seconds without an acknowledged punch by kind of failover, and the comparison with the database.
    """
    gaps: dict[str, list[float]] = defaultdict(list)
    with writers.run_in_background() as log:
        for number, (kind, fault) in enumerate([*islice(cycle(FAULTS.items()), failovers), *ETCD_FAULTS.items()], 1):
            gaps[kind].append(measure_write_gap(cluster, writers, fault))
            print(f"{number}: {kind}: {gaps[kind][-1]:.1f} s", flush=True)
        cluster.wait_until_healthy()
    failed = len(log.unacknowledged())
    print(
        f"Sent {len(log.sent)}, failed {failed}: {dict(log.statuses)}; "
        f"before resending: {compare_with_database(database, log)}"
    )
    resent_statuses = {answer.status_code for answer in writers.resend_failed()}
    result = compare_with_database(database, log)
    print(
        f"Resent: {resent_statuses}; after resending: {result}; "
        f"the longest request took {log.longest_request_seconds:.1f} s."
    )
    return gaps, result


def _table_rows(gaps: dict[str, list[float]]) -> Iterator[str]:
    yield "| failover | times | seconds without an acknowledged punch: median | worst |"
    yield "|---|---|---|---|"
    for kind, seconds in gaps.items():
        yield f"| {kind} | {len(seconds)} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |"


if __name__ == "__main__":
    main()
