"""A burst of one minute's quota and then a constant refill, for each user separately."""

import itertools

import pytest

from app.core.server.rate_limit import MIB, RateLimiter, TooManyChanges, TooManyRequests, WriteLimiter

NOON = 1_234_567.25
"""A monotonic second on a machine that has been up for two weeks."""


def count_allowed(limit: RateLimiter, key: str, *, at: float) -> int:
    """Return the number of requests that the key may make at this instant."""
    for number in itertools.count():
        try:
            limit.acquire(key, at=at)
        except TooManyRequests:
            return number
    raise AssertionError


@pytest.mark.parametrize("quota", [10, 7, 1200, 1201, 99_999])
def test_a_full_minutes_worth_may_come_at_once_and_not_one_more(quota):
    limit = RateLimiter(quota)

    assert count_allowed(limit, "ana", at=NOON) == quota
    assert count_allowed(limit, "ana", at=NOON) == 0


@pytest.mark.parametrize(("quota", "seconds", "grown"), [(10, 6, 1), (10, 59, 9), (1200, 1, 20), (1200, 30, 600)])
def test_spent_requests_grow_back_evenly(quota, seconds, grown):
    limit = RateLimiter(quota)
    count_allowed(limit, "ana", at=NOON)

    assert count_allowed(limit, "ana", at=NOON + seconds) == grown


@pytest.mark.parametrize("pause_seconds", [60, 61, 86_400, 10_000_000])
def test_after_a_minute_or_a_year_there_is_one_minutes_worth(pause_seconds):
    limit = RateLimiter(1200)
    count_allowed(limit, "ana", at=NOON)

    assert count_allowed(limit, "ana", at=NOON + pause_seconds) == 1200


@pytest.mark.parametrize("quota", [10, 13, 59, 60, 61, 1200])
def test_who_waits_as_long_as_the_refusal_says_is_let_in(quota):
    for eighth in range(40):
        limit, at = RateLimiter(quota), NOON + eighth / 8
        count_allowed(limit, "ana", at=NOON)
        count_allowed(limit, "ana", at=at)
        with pytest.raises(TooManyRequests) as error:
            limit.acquire("ana", at=at)

        assert 1 <= error.value.retry_after_seconds <= 6
        limit.acquire("ana", at=at + error.value.retry_after_seconds)


def test_who_keeps_to_the_pace_is_never_refused():
    limit = RateLimiter(1200)

    for number in range(50_000):
        limit.acquire("ana", at=NOON + number * 0.05)


def test_refused_requests_cost_nothing():
    limit = RateLimiter(10)
    count_allowed(limit, "ana", at=NOON)
    for tenth in range(50):
        assert count_allowed(limit, "ana", at=NOON + tenth / 10) == 0

    assert count_allowed(limit, "ana", at=NOON + 6) == 1


@pytest.mark.parametrize(("quota", "operations"), [(10, 7), (1200, 500), (10, 10), (10, 500), (10, 1), (10, 0)])
def test_a_request_of_several_operations_counts_as_that_many_requests_and_as_the_quota_at_most(quota, operations):
    limit = RateLimiter(quota)

    limit.acquire("ana", at=NOON)
    limit.acquire_operations("ana", operations, at=NOON)

    assert count_allowed(limit, "ana", at=NOON) == max(quota - max(operations, 1), 0)


@pytest.mark.parametrize("operations", [2, 7, 10, 500])
@pytest.mark.parametrize("spent", [1, 4, 9])
def test_a_request_of_several_operations_is_let_in_after_the_wait_that_its_refusal_says(operations, spent):
    limit, at = RateLimiter(10), NOON
    for _ in range(spent):
        limit.acquire("ana", at=at)

    for _ in range(2):
        limit.acquire("ana", at=at)
        try:
            limit.acquire_operations("ana", operations, at=at)
        except TooManyRequests as error:
            assert error.retry_after_seconds <= 60
            at += error.retry_after_seconds
        else:
            return
    raise AssertionError("refused twice")


def test_one_persons_haste_is_not_the_others_wait():
    limit = RateLimiter(10)
    count_allowed(limit, "ana", at=NOON)

    assert count_allowed(limit, "bob", at=NOON) == 10


def test_the_refusal_says_the_limit_and_when_to_come_back():
    limit = RateLimiter(10)
    count_allowed(limit, "ana", at=NOON)

    with pytest.raises(TooManyRequests) as error:
        limit.acquire("ana", at=NOON + 1.5)

    assert (error.value.policy.quota, error.value.policy.window_seconds) == (10, 60)
    assert error.value.retry_after_seconds == 5
    assert error.value.detail == "You may make 10 requests a minute. Try again in 5 s."


def test_of_too_many_keys_the_longest_unused_is_forgotten():
    limit = RateLimiter(10, max_keys=3)
    for name in ("ana", "bob", "cleo"):
        count_allowed(limit, name, at=NOON)
    with pytest.raises(TooManyRequests):
        limit.acquire("ana", at=NOON)  # a rejected request counts as use, so its bucket is not dropped

    limit.acquire("dan", at=NOON)

    assert count_allowed(limit, "ana", at=NOON) == 0
    assert count_allowed(limit, "cleo", at=NOON) == 0
    assert count_allowed(limit, "bob", at=NOON) == 10


def test_the_memory_is_bounded():
    limit = RateLimiter(10)
    for number in range(25_000):
        limit.acquire(str(number), at=NOON)

    assert len(limit._full_at) == 10_000


def test_a_change_may_overdraw_the_quota_once_and_the_next_one_waits_an_hour_at_most():
    limit = WriteLimiter(1)
    limit.check(1, at=NOON)
    limit.charge(1, 50 * MIB, at=NOON)

    with pytest.raises(TooManyChanges) as error:
        limit.check(1, at=NOON)

    assert error.value.retry_after_seconds == 3600
    limit.check(1, at=NOON + 3600)
    limit.check(2, at=NOON)


def test_written_bytes_are_free_again_an_hour_later():
    limit = WriteLimiter(1)
    for minute in range(600):
        limit.charge(1, MIB // 60, at=NOON + 60 * minute)
        limit.check(1, at=NOON + 60 * minute)


def test_a_limit_on_writes_remembers_a_bounded_number_of_users():
    limit = WriteLimiter(1, max_keys=2)
    for user in (1, 2, 3):
        limit.charge(user, 2 * MIB, at=NOON)

    limit.check(1, at=NOON)
    for user in (2, 3):
        with pytest.raises(TooManyChanges):
            limit.check(user, at=NOON)
