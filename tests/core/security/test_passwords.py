"""Users without a password: no password matches, and nothing fails."""

import asyncio

import pytest

from app.core.security.passwords import UNUSABLE_PASSWORD, PasswordHasher, hash_password, verify_password
from tests.support.factories import PASSWORD

GUESSES = (PASSWORD, "", UNUSABLE_PASSWORD, "nobody's password, of no account")


@pytest.fixture
def hasher():
    made = PasswordHasher()
    yield made
    made.close()


@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("stored", [None, UNUSABLE_PASSWORD])
def test_no_password_matches_where_there_is_none(hasher, guess, stored):
    assert asyncio.run(hasher.verify(guess, stored)) is False


def test_a_password_matches_its_hash(hasher):
    assert asyncio.run(hasher.verify(PASSWORD, hash_password(PASSWORD))) is True
    assert asyncio.run(hasher.verify("another-lantern", hash_password(PASSWORD))) is False


@pytest.mark.parametrize("guess", GUESSES)
def test_no_password_is_no_hash_that_a_check_chokes_on(guess):
    assert verify_password(guess, UNUSABLE_PASSWORD) is False
