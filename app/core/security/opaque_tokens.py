"""Opaque random tokens. They are shown once, and only their SHA-256 is stored.

A fast hash is enough because the tokens have at least 160 random bits (ASVS 5, 6.5.2).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from app.core.errors import NotAuthenticated

API_TOKEN_PREFIX = "ett_"  # noqa: S105 - lets secret scanners recognize a leaked token
REFRESH_TOKEN_PREFIX = "ettr_"  # noqa: S105
LINK_TOKEN_PREFIX = "ettl_"  # noqa: S105
_SECRET_BYTES, _TAG_BYTES, _USER_BYTES, _SESSION_BYTES = 32, 16, 4, 8
_API_RANDOM_BYTES, _API_TAG_BYTES = 20, 12  # together as long as the secret of an API token of version 0.9


class RefreshRefused(NotAuthenticated):
    code = "invalid_refresh_token"
    title = "Invalid refresh token"
    is_audited = True


def digest(token: str | bytes) -> str:
    """Return the SHA-256 of a token in hexadecimal, which is stored in its place."""
    return hashlib.sha256(token.encode() if isinstance(token, str) else token).hexdigest()


def new_link_token() -> str:
    """Return a token for a password link: 256 random bits."""
    return LINK_TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


class ApiTokens:
    """Creates and decodes API tokens: the user's id, 160 random bits, and a tag of both with the signing key.

    The tag proves without the database that this service made the token. Tokens of version 0.9, and tokens made with a
    former signing key, have no valid tag. They stay valid, but only the database can tell.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def new(self, user_id: int) -> str:
        """Return a new API token. The user's id allows locking the user before the lookup."""
        content = user_id.to_bytes(_USER_BYTES) + secrets.token_bytes(_API_RANDOM_BYTES)
        return API_TOKEN_PREFIX + _encode_base64url(content + self._tag(content))

    def decode(self, text: str) -> tuple[int, bool]:
        """Return the user's id in an API token, and True if its tag is valid. Raises ValueError for another text."""
        content = decode_base64url(text.removeprefix(API_TOKEN_PREFIX))
        if len(content) != _USER_BYTES + _SECRET_BYTES:
            raise ValueError("not as long as an API token")
        tagged, tag = content[:-_API_TAG_BYTES], content[-_API_TAG_BYTES:]
        return int.from_bytes(content[:_USER_BYTES]), hmac.compare_digest(self._tag(tagged), tag)

    def _tag(self, content: bytes) -> bytes:
        return _mac(self._key, b"api-token-tag", content)[:_API_TAG_BYTES]


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token of a login session. Each refresh replaces it by the next one."""

    user_id: int
    session_id: int
    secret: bytes

    @property
    def hash(self) -> str:
        return digest(self.secret)


class RefreshTokens:
    """Encodes, decodes and rotates refresh tokens.

    The next token is an HMAC of the current one, so two refreshes with the same token return the same next token. An
    authentication tag rejects forged tokens. Only the reuse of a genuine token ends its login session.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def new_secret(self) -> bytes:
        return secrets.token_bytes(_SECRET_BYTES)

    def rotate_secret(self, token: RefreshToken) -> bytes:
        return _mac(self._key, b"refresh-next", self._encode_ids(token) + token.secret)

    def encode(self, token: RefreshToken) -> str:
        """Return the token as text for the client."""
        content = self._encode_ids(token) + token.secret
        return REFRESH_TOKEN_PREFIX + _encode_base64url(content + self._tag(content))

    def decode(self, text: str) -> RefreshToken:
        """Return the token in a text. Raises RefreshRefused if its tag is invalid."""
        try:
            content = decode_base64url(text.removeprefix(REFRESH_TOKEN_PREFIX))
        except ValueError:
            content = b""
        content, tag = content[:-_TAG_BYTES], content[-_TAG_BYTES:]
        if not hmac.compare_digest(self._tag(content), tag):
            raise RefreshRefused("The refresh token is invalid or expired. Log in again.")
        return RefreshToken(
            user_id=int.from_bytes(content[:_USER_BYTES]),
            session_id=int.from_bytes(content[_USER_BYTES : _USER_BYTES + _SESSION_BYTES]),
            secret=content[_USER_BYTES + _SESSION_BYTES :],
        )

    def _encode_ids(self, token: RefreshToken) -> bytes:
        return token.user_id.to_bytes(_USER_BYTES) + token.session_id.to_bytes(_SESSION_BYTES)

    def _tag(self, content: bytes) -> bytes:
        return _mac(self._key, b"refresh-tag", content)[:_TAG_BYTES]


def _mac(key: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(key, purpose + b":" + content, "sha256")


def _encode_base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 4648). Raises ValueError for any other spelling of the same bytes."""
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
    if _encode_base64url(content) != text:
        raise ValueError("another spelling of the same bytes")
    return content
