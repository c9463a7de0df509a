"""Access tokens: signed JWTs. Only this module signs and verifies them, with a fixed algorithm."""

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from jose import JWTError, jwt

from app.core.config.settings import Settings
from app.core.errors import NotAuthenticated
from app.core.security.keyring import Keyring
from app.core.security.opaque_tokens import API_TOKEN_PREFIX, decode_base64url, digest
from app.core.time.clock import utc_now

ISSUER = "employee-time-tracking-api"
AUDIENCE = "employee-time-tracking-api/v1"
ACCESS_TYPE = "access"
MAX_TOKEN_LENGTH = 2048
MAX_USER_ID = 2**31 - 1
MAX_SESSION_ID = 2**31 - 1
VERIFIED_CACHE_SIZE = 10_000
"""Number of verified tokens of each kind that a worker process caches: digest and claims, about 400 bytes each."""


class InvalidToken(NotAuthenticated):
    code = "not_authenticated"
    title = "Not authenticated"


class TokenScope(StrEnum):
    """A permission of an API token. An access token has all permissions of its user's role."""

    entries_read = "entries:read"
    entries_write = "entries:write"
    reports_read = "reports:read"
    admin = "admin"


class PendingAction(StrEnum):
    """A step that a user must complete before any other operation is permitted."""

    password = "password"  # noqa: S105 - change the password
    second_factor = "second_factor"


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Additional credentials that may call an operation. A login session without pending actions always may."""

    scopes: frozenset[TokenScope] = frozenset()
    """API tokens with one of these scopes may call the operation."""
    pending: frozenset[PendingAction] = frozenset()
    """Login sessions with one of these pending actions may call the operation."""


SESSION_ONLY = AccessRule()


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of a request's access token or API token, with its time and the operation's access rule.

    The signature of an access token is verified, and the tag of an API token if it `is_authentic`. The database decides
    if its login session or the API token is still valid, and what its user may do. Role and active flag are never read
    from a token.
    """

    user_id: int
    at: datetime
    session_id: int | None = None
    api_token_hash: str | None = None
    access: AccessRule = SESSION_ONLY
    issued_at: float = field(default=math.inf, compare=False)
    """Time at which the access token was signed, in seconds since 1970. Infinity for an API token."""
    is_authentic: bool = field(default=True, compare=False)
    """False for an API token without a valid tag, until the database has accepted it once: it may be made up. False for
    a credential that the database has rejected: its user may have ended it because it was stolen."""

    @property
    def uses_api_token(self) -> bool:
        return self.api_token_hash is not None

    @property
    def credential(self) -> str:
        """A key that is unique to this login session or API token."""
        return self.api_token_hash or _session_key(self.session_id)


@dataclass(frozen=True, slots=True)
class _VerifiedToken:
    """Claims of a token with a valid signature. Its expiry must be checked at each use."""

    user_id: int
    session_id: int
    issued_at: int
    expires_at: int


class TokenSigner:
    """Signs and verifies access tokens with the signing key and ALGORITHM. The token's header can't choose another."""

    def __init__(self, settings: Settings) -> None:
        keyring = Keyring(settings)
        self._key = keyring.signing_key
        self._api_tokens = keyring.api_tokens
        self._algorithm = settings.ALGORITHM
        self.lifetime = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
        self._verified_tokens: dict[bytes, _VerifiedToken] = {}
        self._accepted_api_tokens: dict[str, None] = {}
        self._rejected_credentials: dict[str, None] = {}

    def sign(self, user_id: int, session_id: int, *, at: datetime) -> str:
        """Return an access token for a user's login session. It expires after ACCESS_TOKEN_EXPIRE_MINUTES."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "jti": secrets.token_urlsafe(12),
            "typ": ACCESS_TYPE,
            "sid": session_id,
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm)

    def read(self, token: str | None, access: AccessRule = SESSION_ONLY, *, at: datetime) -> Claims:
        """Return the claims of an access token or API token.

        Raises InvalidToken. Its message does not say why the token is invalid, so that attackers learn nothing.
        """
        if token is None:
            raise InvalidToken("Log in and send the access token as `Authorization: Bearer ...`.")
        try:
            if token.startswith(API_TOKEN_PREFIX):
                return self._read_api_token(token, access, at=at)
            verified = self._verify_cached(token)
        except (JWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise InvalidToken("The access token is invalid or has expired. Log in again.") from None
        return Claims(
            verified.user_id,
            at,
            session_id=verified.session_id,
            access=access,
            issued_at=verified.issued_at,
            is_authentic=_session_key(verified.session_id) not in self._rejected_credentials,
        )

    def remember_accepted(self, claims: Claims) -> None:
        """Treat the credential as authentic from now on, because the database has accepted it."""
        if claims.is_authentic:
            return
        self._rejected_credentials.pop(claims.credential, None)
        if claims.api_token_hash is not None:
            _make_room(self._accepted_api_tokens)
            self._accepted_api_tokens[claims.api_token_hash] = None

    def remember_rejected(self, claims: Claims) -> None:
        """Treat the credential as not authentic from now on, because the database has rejected it."""
        if claims.is_authentic:  # one that may be made up would only displace others
            _make_room(self._rejected_credentials)
            self._rejected_credentials[claims.credential] = None

    def _read_api_token(self, token: str, access: AccessRule, *, at: datetime) -> Claims:
        user_id, has_valid_tag = self._api_tokens.decode(token)
        token_hash = digest(token)
        is_authentic = has_valid_tag or token_hash in self._accepted_api_tokens
        is_authentic = is_authentic and token_hash not in self._rejected_credentials
        return Claims(
            _require_valid_user_id(user_id), at, api_token_hash=token_hash, access=access, is_authentic=is_authentic
        )

    def _verify_cached(self, token: str) -> _VerifiedToken:
        """Verify a token's signature once, then cache its claims. Check its expiry each time.

        Raises ValueError, JWTError, and other exceptions for malformed claims.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("longer than any valid token")
        key = hashlib.sha256(token.encode()).digest()
        verified = self._verified_tokens.get(key)
        if verified is None:
            verified = self._verify(token)
            _make_room(self._verified_tokens)
            self._verified_tokens[key] = verified
        now = utc_now().timestamp()
        if verified.issued_at > now + 60:
            raise ValueError("issued in the future")
        if verified.expires_at < now:
            raise ValueError("expired")
        return verified

    def _verify(self, token: str) -> _VerifiedToken:
        for part in token.split("."):
            decode_base64url(part)  # python-jose also accepts other spellings of a token
        claims = jwt.decode(
            token,
            self._key,
            algorithms=[self._algorithm],  # without this list python-jose accepts any algorithm
            audience=AUDIENCE,
            issuer=ISSUER,
            options={f"require_{name}": True for name in ("exp", "iat", "sub", "jti", "iss", "aud")} | {"leeway": 0},
        )
        issued_at, expires_at = int(claims["iat"]), int(claims["exp"])
        if claims["typ"] != ACCESS_TYPE or not issued_at < expires_at <= issued_at + self.lifetime.total_seconds():
            raise ValueError("wrong type or lifetime")
        subject, session_id = claims["sub"], claims["sid"]
        if not (subject.isascii() and subject.isdigit()):
            raise ValueError("not a user id")
        if type(session_id) is not int or not 0 < session_id <= MAX_SESSION_ID:
            raise ValueError("not a session id")
        return _VerifiedToken(_require_valid_user_id(int(subject)), session_id, issued_at, expires_at)


def _session_key(session_id: int | None) -> str:
    return f"session {session_id}"


def _make_room(cache: dict[Any, Any]) -> None:
    """Drop the oldest item of a cache that is full."""
    if len(cache) >= VERIFIED_CACHE_SIZE:
        cache.pop(next(iter(cache)), None)


def _require_valid_user_id(user_id: int) -> int:
    if not 0 < user_id <= MAX_USER_ID:
        raise ValueError("not a user id")
    return user_id
