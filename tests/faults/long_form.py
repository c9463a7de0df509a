"""The long form of the crash tests: `python -m tests.faults.long_form --engine postgresql --kills 1000`.

Writers punch without a pause while the service, or on PostgreSQL in turns the database, is killed (kill -9) at moments
that chance chooses, until both numbers are reached. Then what failed is sent again, and everything is compared. Exits
with 1 where anything was lost, doubled, or is there though nobody sent it.
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
from tests.support.credentials import session_of
from tests.support.databases import ENGINES, SQLITE, settings_for
from tests.support.factories import Company
from tests.support.postgresql import PostgreSQLServer
from tests.support.punch_load import Verdict, Writers, verdict
from tests.support.server_process import Backend

WRITERS = 16
PATIENCE_SECONDS = 120
TOKENS_LAST_MINUTES = 1440
Gaps = dict[str, list[float]]
"""By what was killed: the longest time in which nothing was acknowledged, in seconds, at each kill."""


class Ground:
    """A database, the service on it with two workers, and writers with long-lived tokens."""

    def __init__(self, engine: str, folder: Path, ending: ExitStack) -> None:
        self.server = None if engine == SQLITE else PostgreSQLServer(durable=True)
        if self.server is not None:
            ending.callback(self.server.stop)
        url = make_url(f"sqlite:///{folder / 'hours.db'}") if self.server is None else self.server.url
        db_url = url.render_as_string(hide_password=False)
        settings = settings_for(db_url, ACCESS_TOKEN_EXPIRE_MINUTES=TOKENS_LAST_MINUTES)
        self.database = ending.enter_context(closing(Database(settings)))
        migrate(self.database)
        company = Company(self.database)
        project = company.project("Website")
        sessions = [session_of(self.database, company.employee(f"Person {number}")) for number in range(WRITERS)]
        sign = TokenSigner(settings).sign
        tokens = [sign(each.user_id, each.session_id, at=utc_now()) for each in sessions]
        self.backend = Backend(db_url, folder, workers=2, ACCESS_TOKEN_EXPIRE_MINUTES=str(TOKENS_LAST_MINUTES))
        ending.callback(self.backend.stop)
        headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        self.writers = Writers(self.backend.base_url, headers, project.id or 0)

    @property
    def victims(self) -> dict[str, Callable[[], None]]:
        """What is killed in turns, and how it comes back."""
        victims = {"the service": self._kill_service}
        return victims if self.server is None else victims | {"PostgreSQL": self._kill_database}

    def _kill_service(self) -> None:
        self.backend.kill()
        self.backend.start()

    def _kill_database(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.start()


def kill_again_and_again(ground: Ground, kills: int, acknowledged: int) -> Gaps:
    """Kill so often that as many punches lie between two kills as the numbers say, on average."""
    chance, gaps, victims = random.Random(), defaultdict(list), list(ground.victims.items())
    log, writers = ground.writers.log, ground.writers
    with Progress() as progress, writers.at_work():
        task = progress.add_task("Kills", total=kills)
        for number in range(kills):
            writers.wait_for(
                len(log.acknowledged) + round(chance.uniform(0.5, 1.5) * acknowledged / kills), PATIENCE_SECONDS
            )
            victim, kill = victims[number % len(victims)]
            killed_at = time.monotonic()
            kill()
            again_at = writers.wait_for_acknowledged(time.monotonic(), PATIENCE_SECONDS)
            gaps[victim].append(log.longest_gap_seconds(killed_at, again_at))
            progress.update(task, advance=1, description=f"{len(log.acknowledged):,} acknowledged")
        while len(log.acknowledged) < acknowledged:
            writers.wait_for(min(acknowledged, len(log.acknowledged) + 1000), PATIENCE_SECONDS)
    return gaps


def report(engine: str, ground: Ground, gaps: Gaps, seconds: float) -> Verdict:
    """Send what failed again, compare everything, and print rows for docs/reliability.md."""
    log = ground.writers.log
    first = verdict(ground.database, log)
    failed = len(log.not_acknowledged())
    unanswered = [answer for answer in ground.writers.send_failed_again() if answer.status_code != 200]
    final = verdict(ground.database, log)
    with ground.database.reading() as session:
        session.may_take(3600)
        proof = verify(session, [], on_progress=lambda done, total: None)
        sound = session.execute(text("PRAGMA integrity_check")).scalar_one() if engine == SQLITE else "ok"
    missing = final.missing + len(unanswered)
    killed = ", ".join(f"{victim} {len(times)}" for victim, times in gaps.items())
    shown = "; ".join(
        f"{victim}: median {statistics.median(times):.1f} s, longest {max(times):.1f} s"
        for victim, times in gaps.items()
    )
    print(
        f"| {engine} | {killed} | {len(log.acknowledged):,} | {first.lost} | {final.duplicates} | {first.phantoms} | "
        f"{failed:,} ({failed - first.missing:,} of them done), {missing} after sending again | "
        f"{shown} | {dict(log.statuses)}; longest request {log.longest_request_seconds:.1f} s | "
        f"{proof.events:,} events hold, {sound} | {seconds / 60:.0f} min |"
    )
    return Verdict(first.lost, final.duplicates, first.phantoms, missing + (sound != "ok"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--kills", type=int, default=1000, help="(1,000)")
    parser.add_argument("--acknowledged", type=int, default=1_000_000, help="punches, at least (1,000,000)")
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="ett-long-")))
        ground = Ground(options.engine, folder, ending)
        begun_at = time.monotonic()
        gaps = kill_again_and_again(ground, options.kills, options.acknowledged)
        return int(report(options.engine, ground, gaps, time.monotonic() - begun_at) != Verdict())


if __name__ == "__main__":
    sys.exit(main())
