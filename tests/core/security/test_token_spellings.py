"""Texts that base64 decodes to a valid token, but that are not the token (threats 11)."""

import pytest

from app.core.security.access_tokens import InvalidToken, TokenSigner
from app.core.security.opaque_tokens import ApiTokens
from app.core.time.clock import utc_now
from tests.support.databases import SECRET_KEY, settings_for

SIGNER = TokenSigner(settings_for("sqlite:///unused.db"))


@pytest.mark.parametrize("tail", ["=", "==", "!!!!", "\n", " ", "."], ids=repr)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_another_spelling_of_a_token_is_refused(part, tail):
    """base64 decoding ignores these characters."""
    parts = SIGNER.sign(7, 3, at=utc_now()).split(".")
    parts[part] += tail

    with pytest.raises(InvalidToken):
        SIGNER.read(".".join(parts), at=utc_now())


def test_other_unused_bits_at_the_end_of_a_signature_are_refused():
    """32 bytes are 43 characters, whose last two bits are unused."""
    signed = SIGNER.sign(7, 3, at=utc_now())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    with pytest.raises(InvalidToken):
        SIGNER.read(signed[:-1] + alphabet[alphabet.index(signed[-1]) + 1], at=utc_now())


@pytest.mark.parametrize("tail", ["=", "==", "===="])
def test_another_spelling_of_an_api_token_is_refused(tail):
    with pytest.raises(InvalidToken):
        SIGNER.read(ApiTokens(SECRET_KEY).new(7) + tail, at=utc_now())
