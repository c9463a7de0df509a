"""Writers that punch during a fault and note which punches were sent, acknowledged or failed.

This is the durability method of docs/threats.md. Each punch has its own number and Idempotency-Key. Every acknowledged
punch must be stored, every stored punch must have been sent, and none may be stored twice. Failed punches are sent
again until each of them is stored exactly once.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise, takewhile

from sqlalchemy import select

from app.core.database.session import Database
from app.models.tables import ENTRY
from tests.support.concurrency import Answer, Call, exchange, open_connection

RETRY_SECONDS = 0.1
"""Pause before the next punch after a failed one."""
NO_RESPONSE = 0


@dataclass
class PunchLog:
    """Log of the writers. Its lists only grow, so it can be read while they run."""

    sent: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, float]] = field(default_factory=list)
    """Names of punches with the monotonic time of their responses."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Status counts of failed punches; 0 stands for a missing response."""
    longest_request_seconds: float = 0

    def unacknowledged(self) -> list[str]:
        acknowledged = {name for name, _at in self.acknowledged}
        return [name for name in self.sent if name not in acknowledged]

    def longest_gap_seconds(self, started_at: float, ended_at: float) -> float:
        """Return the longest time between these instants without an acknowledged punch."""
        since = takewhile(lambda at: at > started_at, (at for _name, at in reversed(self.acknowledged)))
        times = sorted([started_at, *(at for at in since if at < ended_at), ended_at])
        return max(later - earlier for earlier, later in pairwise(times))


@dataclass(frozen=True)
class DurabilityResult:
    """Counts of lost, duplicated and unexpected punches. All are 0 if nothing was lost."""

    lost: int = 0
    duplicates: int = 0
    phantoms: int = 0
    missing: int = 0
    """Sent but not stored. It must be 0 after failed punches were sent again."""


def compare_with_database(database: Database, log: PunchLog) -> DurabilityResult:
    """Compare the stored entries with the log of the writers."""
    with database.read_transaction() as session:
        present = Counter(session.execute(select(ENTRY.c.description)).scalars())
    return DurabilityResult(
        lost=len({name for name, _at in log.acknowledged} - present.keys()),
        duplicates=sum(1 for times in present.values() if times > 1),
        phantoms=len(present.keys() - set(log.sent)),
        missing=len(set(log.sent) - present.keys()),
    )


class Writers:
    """Writers that punch until the block ends, one connection and one user per header.

    They can pause between two punches, to leave CPU time to the database.
    """

    def __init__(
        self, base_url: str, headers: Sequence[dict[str, str]], project_id: int, *, pause_seconds: float = 0
    ) -> None:
        self.log = PunchLog()
        self._base_url, self._headers, self._project_id = base_url, headers, project_id
        self._pause_seconds = pause_seconds
        self._is_over = False

    @contextmanager
    def run_in_background(self) -> Iterator[PunchLog]:
        """Punch in a thread while the block runs."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run_writers()))
        thread.start()
        try:
            yield self.log
        finally:
            self._is_over = True
            thread.join()

    def wait_for_acknowledged(self, after: float, within_seconds: float) -> float:
        """Wait for a punch acknowledged after this instant, and return when that was."""
        while time.monotonic() < after + within_seconds:
            if self.log.acknowledged and (at := self.log.acknowledged[-1][1]) > after:
                return at
            time.sleep(0.05)
        raise TimeoutError(f"Nothing was acknowledged within {within_seconds} s: {self.log.statuses}")

    def wait_for(self, acknowledged: int, within_seconds: float = 60) -> None:
        """Wait until this number of punches is acknowledged."""
        deadline = time.monotonic() + within_seconds
        while len(self.log.acknowledged) < acknowledged:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(self.log.acknowledged)} acknowledged; failures by status: {self.log.statuses}"
                )
            time.sleep(0.02)

    def resend_failed(self) -> list[Answer]:
        """Send every failed punch again with its Idempotency-Key, and return the responses."""
        return asyncio.run(self._resend_failed())

    async def _run_writers(self) -> None:
        await asyncio.gather(*(self._run_writer(number, header) for number, header in enumerate(self._headers)))

    async def _run_writer(self, writer: int, header: dict[str, str]) -> None:
        numbers = count(1)
        while not self._is_over:
            try:
                async with open_connection(self._base_url) as connection:
                    while not self._is_over:
                        await self._punch(f"{writer}-{next(numbers)}", header, connection)
                        await asyncio.sleep(self._pause_seconds)
            except (OSError, asyncio.IncompleteReadError):
                self.log.statuses[NO_RESPONSE] += 1
                await asyncio.sleep(RETRY_SECONDS)

    async def _punch(
        self, name: str, header: dict[str, str], connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.log.sent.append(name)
        started_at = time.monotonic()
        answer = await exchange(self._clock_in_call(name, header), *connection)
        ended_at = time.monotonic()
        self.log.longest_request_seconds = max(self.log.longest_request_seconds, ended_at - started_at)
        if answer.status_code == 200:
            self.log.acknowledged.append((name, ended_at))
        else:
            self.log.statuses[answer.status_code] += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _resend_failed(self) -> list[Answer]:
        async with open_connection(self._base_url) as connection:
            return [
                await exchange(self._clock_in_call(name, self._headers[int(name.split("-")[0])]), *connection)
                for name in self.log.unacknowledged()
            ]

    def _clock_in_call(self, name: str, header: dict[str, str]) -> Call:
        url = f"{self._base_url}/api/v1/time-entries/clock-in"
        body = {"project_id": self._project_id, "description": name}
        return Call("POST", url, header | {"Idempotency-Key": name}, body, {"switch": "true"})
