"""Tokens that say nothing: random, handed out once, and known here by their SHA-256 only.

They carry so much chance that a fast hash keeps them as safe as a slow one would (ASVS 5, 6.5.2).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from app.core.errors import NotAuthenticated

API_TOKEN_PREFIX = "ett_"  # noqa: S105 - by which secret scanners know a leaked one
REFRESH_TOKEN_PREFIX = "ettr_"  # noqa: S105
LINK_TOKEN_PREFIX = "ettl_"  # noqa: S105
_SECRET_BYTES, _TAG_BYTES, _USER_BYTES, _SESSION_BYTES = 32, 16, 4, 8


class RefreshRefused(NotAuthenticated):
    code = "invalid_refresh_token"
    title = "Invalid refresh token"
    is_audited = True


def digest(token: str | bytes) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode() if isinstance(token, str) else token).hexdigest()


def new_link_token() -> str:
    """The token of a set-password link: 256 random bits."""
    return LINK_TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def new_api_token(user_id: int) -> str:
    """An API token: 256 random bits, behind whose it is, so that its person can be locked before it is looked up."""
    return API_TOKEN_PREFIX + _encode_base64url(user_id.to_bytes(_USER_BYTES) + secrets.token_bytes(_SECRET_BYTES))


def claimed_user_id(api_token: str) -> int:
    """Whose an API token says it is. Nothing is proven by that. Raises ValueError for what is no API token."""
    content = _decode_base64url(api_token.removeprefix(API_TOKEN_PREFIX))
    if len(content) != _USER_BYTES + _SECRET_BYTES:
        raise ValueError("not as long as an API token")
    return int.from_bytes(content[:_USER_BYTES])


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token: of one session, and one of the row that each next one continues."""

    user_id: int
    session_id: int
    secret: bytes

    @property
    def hash(self) -> str:
        return digest(self.secret)


class RefreshTokens:
    """Makes refresh tokens and reads them.

    The next token is an HMAC of the present one, so who refreshes twice with one token gets one successor. A tag tells
    a token of ours, spent or not, from one that somebody made up: only the former may end a session by its reuse.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def new_secret(self) -> bytes:
        return secrets.token_bytes(_SECRET_BYTES)

    def rotate_secret(self, token: RefreshToken) -> bytes:
        return self._mac(b"refresh-next", self._encode_ids(token) + token.secret)

    def encode(self, token: RefreshToken) -> str:
        """The token as the client keeps it."""
        content = self._encode_ids(token) + token.secret
        return REFRESH_TOKEN_PREFIX + _encode_base64url(content + self._tag(content))

    def decode(self, text: str) -> RefreshToken:
        """The token in a text. Raises RefreshRefused for what we never made."""
        try:
            content = _decode_base64url(text.removeprefix(REFRESH_TOKEN_PREFIX))
        except ValueError:
            content = b""
        content, tag = content[:-_TAG_BYTES], content[-_TAG_BYTES:]
        if not hmac.compare_digest(self._tag(content), tag):
            raise RefreshRefused("The refresh token is not valid, or no longer. Log in again.")
        return RefreshToken(
            user_id=int.from_bytes(content[:_USER_BYTES]),
            session_id=int.from_bytes(content[_USER_BYTES : _USER_BYTES + _SESSION_BYTES]),
            secret=content[_USER_BYTES + _SESSION_BYTES :],
        )

    def _encode_ids(self, token: RefreshToken) -> bytes:
        return token.user_id.to_bytes(_USER_BYTES) + token.session_id.to_bytes(_SESSION_BYTES)

    def _tag(self, content: bytes) -> bytes:
        return self._mac(b"refresh-tag", content)[:_TAG_BYTES]

    def _mac(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b":" + content, "sha256")


def _encode_base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode_base64url(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
