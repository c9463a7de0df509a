"""A failed login takes the same time whatever was wrong (THREATS 14)."""

import time
from statistics import median

from tests.support.people import PASSWORD

SAMPLES = 200
APART_SECONDS = 0.002
ROUNDS = 4


def test_unknown_wrong_and_deactivated_cannot_be_told_apart_by_the_clock(people, anyone):
    """The one place that asserts a duration: here it is the secret.

    Samples are interleaved, so a busy machine slows all alike. What still differs by chance doesn't differ in every
    round; what a leak makes differ does.
    """
    people.employee("Ana")
    people.employee("Dan", is_active=False)
    attempts = {
        "unknown": {"username": "nobody@example.com", "password": PASSWORD},
        "wrong": {"username": "ana@example.com", "password": f"{PASSWORD}!"},
        "deactivated": {"username": "dan@example.com", "password": PASSWORD},
    }

    seen = []
    while len(seen) < ROUNDS and (not seen or spread(seen[-1]) >= APART_SECONDS):
        seen.append(medians(anyone, attempts))

    assert min(map(spread, seen)) < APART_SECONDS, seen


def medians(anyone, attempts):
    """Each attempt's median over interleaved samples, in seconds."""
    taken = {name: [] for name in attempts}
    for _ in range(SAMPLES):
        for name, form in attempts.items():
            started = time.perf_counter()
            anyone.post("/auth/login", data=form)
            taken[name].append(time.perf_counter() - started)
    return {name: median(samples) for name, samples in taken.items()}


def spread(medians_by_attempt):
    return max(medians_by_attempt.values()) - min(medians_by_attempt.values())
