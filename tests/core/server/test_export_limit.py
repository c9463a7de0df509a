"""Two concurrent exports per user and worker process."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.server.export_limit import ExportLimiter, TooManyExports

MIA, BOB = 1, 2


def test_a_third_export_waits_until_one_is_through():
    limit = ExportLimiter()
    limit.acquire("first", MIA)
    limit.acquire("second", MIA)

    with pytest.raises(TooManyExports) as error:
        limit.acquire("third", MIA)
    limit.acquire("second", MIA)  # its transaction is retried
    limit.acquire("Bob's", BOB)
    limit.release("first")
    limit.acquire("third", MIA)

    assert error.value.retry_after_seconds == 5


def test_of_many_at_once_two_are_let_in():
    limit = ExportLimiter()

    def is_admitted(export: int) -> bool:
        try:
            limit.acquire(export, MIA)
        except TooManyExports:
            return False
        return True

    with ThreadPoolExecutor(4) as many_users:
        assert sum(many_users.map(is_admitted, range(1000))) == 2
