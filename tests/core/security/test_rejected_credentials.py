"""Credentials that the database has rejected although their signature is valid (threats 5)."""

import pytest

from app.core.security.access_tokens import VERIFIED_CACHE_SIZE, Claims, TokenSigner
from app.core.time.clock import utc_now
from tests.support.databases import settings_for


@pytest.fixture
def signer():
    return TokenSigner(settings_for("sqlite:///unused.db"))


def test_a_rejected_credential_is_not_authentic_until_it_is_accepted(signer):
    """As after a restore, which brings a login session back."""
    signed = signer.sign(7, 3, at=utc_now())
    signer.remember_rejected(signer.read(signed, at=utc_now()))
    rejected = signer.read(signed, at=utc_now())
    signer.remember_accepted(rejected)

    assert not rejected.is_authentic
    assert signer.read(signed, at=utc_now()).is_authentic


def test_another_login_session_of_the_user_stays_authentic(signer):
    signer.remember_rejected(signer.read(signer.sign(7, 3, at=utc_now()), at=utc_now()))

    assert signer.read(signer.sign(7, 4, at=utc_now()), at=utc_now()).is_authentic


def test_a_bounded_number_of_rejected_credentials_is_remembered(signer):
    for session_id in range(1, VERIFIED_CACHE_SIZE + 2):
        signer.remember_rejected(Claims(7, utc_now(), session_id=session_id))

    first, last = (
        signer.read(signer.sign(7, number, at=utc_now()), at=utc_now()) for number in (1, VERIFIED_CACHE_SIZE + 1)
    )

    assert (first.is_authentic, last.is_authentic) == (True, False)
