"""Who works through a fault: writers that note every punch they sent, which were acknowledged, and which weren't.

The durability method of docs/threats.md: every punch has a number and an Idempotency-Key of its own. What was
acknowledged must be there, what is there must have been sent, nothing is there twice, and what failed is sent again
until it is there once.
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
"""After which who was turned away goes on, with the next punch."""
NO_RESPONSE = 0


@dataclass
class PunchLog:
    """What the writers saw. They only ever append, so it can be read while they go on."""

    sent: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, float]] = field(default_factory=list)
    """Each with its instant, by the monotonic clock."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Of what wasn't acknowledged; 0 where no answer came."""
    longest_request_seconds: float = 0

    def unacknowledged(self) -> list[str]:
        acknowledged = {name for name, _at in self.acknowledged}
        return [name for name in self.sent if name not in acknowledged]

    def longest_gap_seconds(self, started_at: float, ended_at: float) -> float:
        """The longest time between these instants in which nothing was acknowledged."""
        since = takewhile(lambda at: at > started_at, (at for _name, at in reversed(self.acknowledged)))
        times = sorted([started_at, *(at for at in since if at < ended_at), ended_at])
        return max(later - earlier for earlier, later in pairwise(times))


@dataclass(frozen=True)
class DurabilityResult:
    """Nothing was lost where all of it is 0, which is what it starts with."""

    lost: int = 0
    duplicates: int = 0
    phantoms: int = 0
    missing: int = 0
    """Sent, and not there: none, once what failed was sent again."""


def compare_with_database(database: Database, log: PunchLog) -> DurabilityResult:
    """What the database has, against what the writers noted."""
    with database.read_transaction() as session:
        present = Counter(session.execute(select(ENTRY.c.description)).scalars())
    return DurabilityResult(
        lost=len({name for name, _at in log.acknowledged} - present.keys()),
        duplicates=sum(1 for times in present.values() if times > 1),
        phantoms=len(present.keys() - set(log.sent)),
        missing=len(set(log.sent) - present.keys()),
    )


class Writers:
    """One connection for each header, from which that person punches as long as the block lasts.

    They rest between two punches: where the machine is needed for what happens to the database, a while.
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
        """Punch, in a thread, while the block does something to the database."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run_writers()))
        thread.start()
        try:
            yield self.log
        finally:
            self._is_over = True
            thread.join()

    def wait_for_acknowledged(self, after: float, within_seconds: float) -> float:
        """Wait for a punch that is acknowledged after this instant, and say when it was."""
        while time.monotonic() < after + within_seconds:
            if self.log.acknowledged and (at := self.log.acknowledged[-1][1]) > after:
                return at
            time.sleep(0.05)
        raise TimeoutError(f"Nothing was acknowledged within {within_seconds} s: {self.log.statuses}")

    def wait_for(self, acknowledged: int, within_seconds: float = 60) -> None:
        """Wait until so many punches are acknowledged."""
        deadline = time.monotonic() + within_seconds
        while len(self.log.acknowledged) < acknowledged:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.log.acknowledged)} are acknowledged; not so: {self.log.statuses}")
            time.sleep(0.02)

    def resend_failed(self) -> list[Answer]:
        """Send what wasn't acknowledged again, each under its key; the answers."""
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
