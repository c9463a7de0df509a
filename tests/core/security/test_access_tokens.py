"""Valid access tokens, and invalid ones that must be rejected (threats 11)."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwt

from app.core.security.access_tokens import AUDIENCE, ISSUER, AccessRule, Claims, InvalidToken, TokenScope, TokenSigner
from app.core.security.opaque_tokens import ApiTokens, digest
from app.core.time.clock import utc_now
from tests.support.databases import SECRET_KEY, settings_for

SIGNER = TokenSigner(settings_for("sqlite:///unused.db"))
AT = utc_now()
NOW = int(AT.timestamp())
MISSING = object()


def token(*, key: Any = SECRET_KEY, algorithm: str = "HS256", **changes: Any) -> str:
    """Return a valid access token of Ana, except for the changes."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "7",
        "iat": NOW,
        "exp": NOW + 1800,
        "jti": "once",
        "typ": "access",
        "sid": 3,
    } | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not MISSING}, key, algorithm)


def forged(header: Any, signature: str) -> str:
    """Return a forged token with any header, and with valid claims unless it would become too long."""
    text = header if isinstance(header, str) else json.dumps(header)
    claims = token().split(".")[1] if len(text) < 1000 else "e30"
    return f"{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}.{claims}.{signature}"


def rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def read(text: str | None) -> Claims:
    return SIGNER.read(text, at=AT)


def test_a_token_says_who_logged_in_and_in_which_session():
    signed = SIGNER.sign(7, 3, at=utc_now())

    assert read(signed) == read(token()) == Claims(user_id=7, at=AT, session_id=3)


def test_an_api_token_says_whose_it_is_and_is_looked_up_by_its_digest():
    """Only the database verifies the claimed user: the digest must belong to this user."""
    made = SIGNER._api_tokens.new(7)
    scopes = AccessRule(frozenset({TokenScope.entries_read}))

    claims = SIGNER.read(made, scopes, at=AT)

    assert claims == Claims(user_id=7, at=AT, api_token_hash=digest(made), access=scopes)
    assert made.startswith("ett_")
    assert made != SIGNER._api_tokens.new(7)
    assert len(made) == 52, "as in 0.9, whose workers accept it during an upgrade"


def test_only_an_api_token_that_this_key_made_is_authentic():
    of_another_key = ApiTokens("another signing key").new(7)
    made = SIGNER._api_tokens.new(7)

    tokens = [made, of_another_key, made[:-1] + ("A" if made[-1] != "A" else "Q"), "ett_AAAAB" + "A" * 43]

    assert [SIGNER.read(each, at=AT).is_authentic for each in tokens] == [True, False, False, False]


def test_no_two_tokens_are_the_same():
    now = utc_now()

    assert SIGNER.sign(7, 3, at=now) != SIGNER.sign(7, 3, at=now)


def test_a_token_ends_after_its_lifetime():
    signed = SIGNER.sign(7, 3, at=utc_now() - SIGNER.lifetime - timedelta(seconds=1))

    with pytest.raises(InvalidToken):
        read(signed)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_algorithm_is_the_servers_choice_not_the_tokens(algorithm):
    with pytest.raises(InvalidToken):
        read(token(algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_algorithm_of_the_settings_works(algorithm):
    signer = TokenSigner(settings_for("sqlite:///unused.db", ALGORITHM=algorithm))

    assert signer.read(signer.sign(7, 3, at=utc_now()), at=AT) == Claims(user_id=7, at=AT, session_id=3)


def test_a_token_of_another_key_is_refused():
    with pytest.raises(InvalidToken):
        read(token(key="another-key-with-enough-randomness-77aa"))


def test_a_token_signed_with_a_key_pair_is_refused():
    with pytest.raises(InvalidToken):
        read(token(key=rsa_key(), algorithm="RS256"))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT"},
        {"alg": "None"},
        {"alg": "nOnE"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {"alg": {"HS256": 1}},
        {},
        [],
        "",
        "null",
        "[" * 1400,
        '{"alg": ' * 150,
        "9" * 1400,
        "\ufffd",
    ],
    ids=lambda header: str(header)[:20],
)
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_a_token_without_our_signature_is_refused(header, signature):
    with pytest.raises(InvalidToken):
        read(forged(header, signature))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "iat", "exp", "jti", "typ", "sid"])
def test_every_claim_is_needed(name):
    with pytest.raises(InvalidToken):
        read(token(**{name: MISSING}))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 1},
        {"exp": NOW},
        {"exp": NOW + 1801},
        {"exp": 10**30},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": "soon"},
        {"exp": True},
        {"exp": [NOW + 60]},
        {"iat": NOW + 3600, "exp": NOW + 3660},
        {"iat": -(10**30)},
        {"iat": "then"},
        {"iat": None},
        {"nbf": NOW + 86_400},
        {"nbf": 10**30},
        {"nbf": "later"},
        {"typ": "refresh"},
        {"typ": "Access"},
        {"typ": None},
        {"typ": ["access"]},
        {"iss": "somebody-else"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "another-service"},
        {"aud": []},
        {"aud": None},
        {"aud": {"a": AUDIENCE}},
        {"sub": 7},
        {"sub": None},
        {"sub": True},
        {"sub": ["7"]},
        {"sub": ""},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": "+7"},
        {"sub": " 7"},
        {"sub": "7.0"},
        {"sub": "1e3"},
        {"sub": str(2**31)},
        {"sub": str(2**63)},
        {"sub": "9" * 1000},
        {"sub": "\uff17"},
        {"sub": "²"},
        {"sub": "\u0667"},
        {"sub": "ana@example.com"},
        {"jti": 7},
        {"jti": None},
        {"sid": "3"},
        {"sid": 3.0},
        {"sid": True},
        {"sid": None},
        {"sid": [3]},
        {"sid": 0},
        {"sid": -1},
        {"sid": 2**31},
        {"sid": 10**30},
    ],
    ids="+".join,  # names only, because test ids must not depend on the time of collection
)
def test_a_claim_that_is_not_as_we_write_it_is_refused(changes):
    with pytest.raises(InvalidToken):
        read(token(**changes))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "\x00.\x00.\x00",
        "é.é.é",
        "\udcff.\udcff.\udcff",
        "😀",
        token() + ".",
        token() + "x",
        token()[:-1],
        f" {token()}",
        f"Bearer {token()}",
        "ett_",
        "ett_AAAA",
        "ett_" + "A" * 47,
        "ett_" + "A" * 48,  # user id 0
        "ett_" + "_" * 48,  # user id 2^32 - 1
        "ett_" + "\u0661" * 48,
        "ett_" + "A" * 1_000_000,
        "ettr_" + "A" * 80,
        "A" * 1_000_000,
        ("A" * 500_000) + "." * 500_000,
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_is_no_token_is_refused(text):
    with pytest.raises(InvalidToken):
        read(text)


def test_a_token_that_was_read_before_still_ends(monkeypatch):
    """The signature is verified once and cached, but the expiry is checked each time."""
    signed = SIGNER.sign(7, 3, at=utc_now())
    read(signed)
    over = utc_now() + SIGNER.lifetime + timedelta(seconds=1)
    monkeypatch.setattr("app.core.security.access_tokens.utc_now", lambda: over)

    with pytest.raises(InvalidToken):
        read(signed)


def test_a_token_that_was_read_before_is_refused_where_the_clock_went_back_behind_it(monkeypatch):
    signed = SIGNER.sign(7, 3, at=utc_now())
    read(signed)
    before = utc_now() - timedelta(minutes=5)
    monkeypatch.setattr("app.core.security.access_tokens.utc_now", lambda: before)

    with pytest.raises(InvalidToken):
        read(signed)


def test_a_genuine_token_opens_nothing_for_one_with_another_signature():
    signed = SIGNER.sign(7, 3, at=utc_now())
    read(signed)

    with pytest.raises(InvalidToken):
        read(signed[:-2] + ("AA" if signed[-2:] != "AA" else "BB"))


def test_a_worker_remembers_so_many_tokens_and_no_more(monkeypatch):
    monkeypatch.setattr("app.core.security.access_tokens.VERIFIED_CACHE_SIZE", 2)
    signer = TokenSigner(settings_for("sqlite:///unused.db"))
    signed = [signer.sign(user, user, at=utc_now()) for user in (1, 2, 3)]

    for _ in range(2):
        assert [signer.read(each, at=AT).user_id for each in signed] == [1, 2, 3]

    assert len(signer._verified_tokens) == 2


def test_a_refusal_does_not_say_what_was_wrong():
    messages = set()
    for bad in (token(key="another-key-with-enough-randomness-77aa"), token(exp=NOW - 1), token(sub="0"), "nonsense"):
        with pytest.raises(InvalidToken) as error:
            read(bad)
        messages.add((error.value.detail, str(error.value.__cause__)))

    assert messages == {("The access token is invalid or has expired. Log in again.", "None")}
