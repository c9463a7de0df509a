"""Two exports at a time for each user of a worker process."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.server.export_limit import ExportLimit, TooManyExports

MIA, BOB = 1, 2


def test_a_third_export_waits_until_one_is_through():
    limit = ExportLimit()
    limit.take("first", MIA)
    limit.take("second", MIA)

    with pytest.raises(TooManyExports) as refused:
        limit.take("third", MIA)
    limit.take("second", MIA)  # its transaction is retried
    limit.take("Bob's", BOB)
    limit.release("first")
    limit.take("third", MIA)

    assert refused.value.retry_after_seconds == 5


def test_of_many_at_once_two_are_let_in():
    limit = ExportLimit()

    def is_let_in(export: int) -> bool:
        try:
            limit.take(export, MIA)
        except TooManyExports:
            return False
        return True

    with ThreadPoolExecutor(4) as crowd:
        assert sum(crowd.map(is_let_in, range(1000))) == 2
