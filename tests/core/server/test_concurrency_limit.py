"""The report limiter: the reports of one user queue behind each other, and not before those of everybody else."""

import asyncio
import gc
import threading

import pytest
from sqlalchemy.exc import OperationalError

from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.server.concurrency_limit import ConcurrencyLimiter

MIA, BOB = 1, 2


async def _run(limiter: ConcurrencyLimiter, user_id: int, work, *args) -> None:
    await limiter.run(lambda: work(*args), writes=False, user_id=user_id)


@pytest.mark.parametrize("permits", [1, 2, 3])
def test_the_report_of_bob_runs_before_the_second_one_of_mia(permits):
    """Mia asks for ten reports, then Bob for one. With a single permit, Bob waits for the one that runs."""
    finished: list[int] = []
    may_finish = threading.Event()

    def report(user_id: int) -> None:
        if user_id == MIA:
            may_finish.wait(30)
        finished.append(user_id)

    async def ask() -> None:
        limiter = ConcurrencyLimiter("payroll", permits=permits, permits_per_user=max(1, permits // 2), wait_seconds=30)
        reports = [asyncio.create_task(_run(limiter, MIA, report, MIA)) for _ in range(10)]
        await asyncio.sleep(0)
        bobs = asyncio.create_task(_run(limiter, BOB, report, BOB))
        if permits == 1:
            may_finish.set()
        await bobs
        position = finished.index(BOB)
        may_finish.set()
        await asyncio.gather(*reports)
        limiter.close()
        assert position <= (1 if permits == 1 else 0)

    asyncio.run(ask())
    assert sorted(finished) == [MIA] * 10 + [BOB]


def test_a_report_that_waits_too_long_for_others_of_its_user_is_turned_away_and_holds_nothing():
    may_finish = threading.Event()

    async def ask() -> None:
        limiter = ConcurrencyLimiter("payroll", permits=2, permits_per_user=1, wait_seconds=0.01)
        first = asyncio.create_task(_run(limiter, MIA, may_finish.wait, 30))
        await asyncio.sleep(0)
        with pytest.raises(ServiceBusy):
            await _run(limiter, MIA, lambda: None)
        await _run(limiter, BOB, lambda: None)
        may_finish.set()
        await first
        await _run(limiter, MIA, lambda: None)
        limiter.close()
        del first
        gc.collect()
        assert not limiter._user_permits, "the permits of users without reports are kept"

    asyncio.run(ask())


def test_a_lost_connection_rejects_the_reports_that_wait_and_none_that_is_asked_for_after_it():
    """Bob asks when the database is back. The event loop has not yet learned of the connection that Mia lost."""
    may_fail = threading.Event()

    def lose_connection() -> None:
        may_fail.wait(30)
        raise OperationalError(None, None, ConnectionError("refused"))

    async def ask() -> None:
        limiter = ConcurrencyLimiter("payroll", permits=1)
        lost = asyncio.create_task(_run(limiter, MIA, lose_connection))
        waiting = asyncio.create_task(_run(limiter, MIA, lambda: None))
        await asyncio.sleep(0)
        may_fail.set()
        limiter._executor.submit(lambda: None).result(30)  # its one thread has left Mia's work
        bobs = asyncio.create_task(_run(limiter, BOB, lambda: None))
        with pytest.raises(OperationalError):
            await lost
        with pytest.raises(DatabaseUnavailable):
            await waiting
        await bobs
        limiter.close()

    asyncio.run(ask())
