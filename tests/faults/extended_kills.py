"""The extended crash tests: `python -m tests.faults.extended_kills --engine postgresql --kills 1000`.

Writers punch without a pause while the service is killed with SIGKILL at random moments. On PostgreSQL, service and
database are killed in turn. The run ends when both numbers are reached. Then failed punches are sent again, and the
stored entries are compared with the log. The exit code is 1 if an entry is lost, duplicated, or was never sent.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.database.migrations import migrate
from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.services.audit.verification import verify
from tests.support.credentials import create_login_session
from tests.support.databases import ENGINES, SQLITE, settings_for
from tests.support.factories import Company
from tests.support.postgresql import PostgreSQLServer
from tests.support.punch_load import DurabilityResult, Writers, compare_with_database
from tests.support.server_process import Backend

WRITERS = 16
RECOVERY_TIMEOUT_SECONDS = 120
TOKEN_MINUTES = 1440
Gaps = dict[str, list[float]]
"""For each victim the longest time without an acknowledged punch after each kill, in seconds."""


class Deployment:
    """A database, a service on it with two worker processes, and writers with long-lived tokens."""

    def __init__(self, engine: str, folder: Path, stack: ExitStack) -> None:
        self.server = None if engine == SQLITE else PostgreSQLServer(durable=True)
        if self.server is not None:
            stack.callback(self.server.stop)
        url = make_url(f"sqlite:///{folder / 'hours.db'}") if self.server is None else self.server.url
        db_url = url.render_as_string(hide_password=False)
        settings = settings_for(db_url, ACCESS_TOKEN_EXPIRE_MINUTES=TOKEN_MINUTES)
        self.database = stack.enter_context(closing(Database(settings)))
        migrate(self.database)
        company = Company(self.database)
        project = company.project("Website")
        sessions = [
            create_login_session(self.database, company.employee(f"Person {number}")) for number in range(WRITERS)
        ]
        sign = TokenSigner(settings).sign
        tokens = [sign(each.user_id, each.session_id, at=utc_now()) for each in sessions]
        self.backend = Backend(db_url, folder, workers=2, ACCESS_TOKEN_EXPIRE_MINUTES=str(TOKEN_MINUTES))
        stack.callback(self.backend.stop)
        headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        self.writers = Writers(self.backend.base_url, headers, project.id or 0)

    @property
    def victims(self) -> dict[str, Callable[[], None]]:
        """The processes that are killed in turn, with functions that kill and restart them."""
        victims = {"the service": self._kill_service}
        return victims if self.server is None else victims | {"PostgreSQL": self._kill_database}

    def _kill_service(self) -> None:
        self.backend.kill()
        self.backend.start()

    def _kill_database(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.start()


def kill_repeatedly(deployment: Deployment, kills: int, acknowledged: int) -> Gaps:
    """Kill at random moments, with `acknowledged / kills` punches between two kills on average."""
    rng, gaps, victims = random.Random(), defaultdict(list), list(deployment.victims.items())
    log, writers = deployment.writers.log, deployment.writers
    with Progress() as progress, writers.run_in_background():
        task = progress.add_task("Kills", total=kills)
        for number in range(kills):
            writers.wait_for(
                len(log.acknowledged) + round(rng.uniform(0.5, 1.5) * acknowledged / kills), RECOVERY_TIMEOUT_SECONDS
            )
            victim, kill = victims[number % len(victims)]
            killed_at = time.monotonic()
            kill()
            resumed_at = writers.wait_for_acknowledged(time.monotonic(), RECOVERY_TIMEOUT_SECONDS)
            gaps[victim].append(log.longest_gap_seconds(killed_at, resumed_at))
            progress.update(task, advance=1, description=f"{len(log.acknowledged):,} acknowledged")
        while len(log.acknowledged) < acknowledged:
            writers.wait_for(min(acknowledged, len(log.acknowledged) + 1000), RECOVERY_TIMEOUT_SECONDS)
    return gaps


def report(engine: str, deployment: Deployment, gaps: Gaps, seconds: float) -> DurabilityResult:
    """Send failed punches again, compare all entries, and print table rows for docs/reliability.md."""
    log = deployment.writers.log
    first = compare_with_database(deployment.database, log)
    failed = len(log.unacknowledged())
    unanswered = [answer for answer in deployment.writers.resend_failed() if answer.status_code != 200]
    final = compare_with_database(deployment.database, log)
    with deployment.database.read_transaction() as session:
        session.set_statement_timeout(3600)
        verification = verify(session, [], on_progress=lambda done, total: None)
        integrity = session.execute(text("PRAGMA integrity_check")).scalar_one() if engine == SQLITE else "ok"
    missing = final.missing + len(unanswered)
    killed = ", ".join(f"{victim} {len(times)}" for victim, times in gaps.items())
    gap_summary = "; ".join(
        f"{victim}: median {statistics.median(times):.1f} s, longest {max(times):.1f} s"
        for victim, times in gaps.items()
    )
    print(
        f"| {engine} | {killed} | {len(log.acknowledged):,} | {first.lost} | {final.duplicates} | {first.phantoms} | "
        f"{failed:,} ({failed - first.missing:,} of them stored), {missing} after resending | "
        f"{gap_summary} | {dict(log.statuses)}; longest request {log.longest_request_seconds:.1f} s | "
        f"{verification.events:,} events hold, {integrity} | {seconds / 60:.0f} min |"
    )
    return DurabilityResult(first.lost, final.duplicates, first.phantoms, missing + (integrity != "ok"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True, help="database engine")
    parser.add_argument("--kills", type=int, default=1000, help="number of kills (default: 1,000)")
    parser.add_argument(
        "--acknowledged",
        type=int,
        default=1_000_000,
        help="minimum number of acknowledged punches (default: 1,000,000)",
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ett-long-")))
        deployment = Deployment(options.engine, folder, stack)
        started_at = time.monotonic()
        gaps = kill_repeatedly(deployment, options.kills, options.acknowledged)
        return int(report(options.engine, deployment, gaps, time.monotonic() - started_at) != DurabilityResult())


if __name__ == "__main__":
    sys.exit(main())
