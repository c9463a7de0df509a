"""Users without a password: no password matches, and nothing fails. The order of the hashing queue."""

import asyncio

import pytest

from app.core.security.passwords import UNUSABLE_PASSWORD, PasswordHasher, hash_password, verify_password
from tests.support.factories import PASSWORD

GUESSES = (PASSWORD, "", UNUSABLE_PASSWORD, "nobody's password, of no account")
THIEF, HOME = "192.0.2.66", "198.51.100.20"


@pytest.fixture
def hasher():
    made = PasswordHasher()
    yield made
    made.close()


@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("stored", [None, UNUSABLE_PASSWORD])
def test_no_password_matches_where_there_is_none(hasher, guess, stored):
    assert asyncio.run(hasher.verify(guess, stored, network=THIEF)) is False


def test_a_password_matches_its_hash(hasher):
    assert asyncio.run(hasher.verify(PASSWORD, hash_password(PASSWORD), network=HOME)) is True
    assert asyncio.run(hasher.verify("another-lantern", hash_password(PASSWORD), network=HOME)) is False


@pytest.mark.parametrize("guess", GUESSES)
def test_no_password_is_no_hash_that_a_check_chokes_on(guess):
    assert verify_password(guess, UNUSABLE_PASSWORD) is False


@pytest.mark.parametrize("work", ["verify", "hash"])
def test_a_thief_with_many_attempts_at_once_delays_ana_by_one_of_them(hasher, work):
    finished = []

    async def use(network):
        if work == "verify":
            await hasher.verify(PASSWORD, None, network=network)
        else:
            await hasher.hash(PASSWORD, network=network)
        finished.append(network)

    async def use_at_once():
        await asyncio.gather(*[use(network) for network in [THIEF] * 5 + [HOME]])

    asyncio.run(use_at_once())

    assert finished == [THIEF, HOME, *[THIEF] * 4]


def test_a_request_that_is_cancelled_while_it_waits_blocks_no_other(hasher):
    async def cancel_one_of_two():
        first, second = (asyncio.create_task(hasher.verify(PASSWORD, None, network=THIEF)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second])
        return await hasher.verify(PASSWORD, None, network=THIEF)

    assert asyncio.run(cancel_one_of_two()) is False
