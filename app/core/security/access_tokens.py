"""Access tokens: signed here, and read by one function that trusts nothing the token says about itself."""

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from jose import JWTError, jwt

from app.core.config.settings import Settings
from app.core.errors import NotAuthenticated
from app.core.security.keyring import Keyring
from app.core.security.opaque_tokens import API_TOKEN_PREFIX, claimed_user_id, digest
from app.core.time.clock import utc_now

ISSUER = "employee-time-tracking-api"
AUDIENCE = "employee-time-tracking-api/v1"
ACCESS_TYPE = "access"
MAX_TOKEN_LENGTH = 2048
MAX_USER_ID = 2**31 - 1
MAX_SESSION_ID = 2**31 - 1
VERIFIED_CACHE_SIZE = 10_000
"""How many tokens a worker remembers as genuine: their digests and claims, some 400 bytes each."""


class InvalidToken(NotAuthenticated):
    code = "not_authenticated"
    title = "Not authenticated"


class TokenScope(StrEnum):
    """What an API token is for. A session's token is for everything that its person may do."""

    entries_read = "entries:read"
    entries_write = "entries:write"
    reports_read = "reports:read"
    admin = "admin"


class PendingAction(StrEnum):
    """What a person has to do before they may do anything else."""

    password = "password"  # noqa: S105 - to change it
    second_factor = "second_factor"


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may call an operation beside those who logged in and have nothing to do first."""

    scopes: frozenset[TokenScope] = frozenset()
    """API tokens that have one of these."""
    pending: frozenset[PendingAction] = frozenset()
    """People who have to do this first."""


SESSION_ONLY = AccessRule()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a request shows: a session's token or an API token, when, and to which operation.

    The token is genuine, if it is a session's; whether its session or it itself still lives, and what its person may
    do, only the database can tell. Role and active flag are never read from a token.
    """

    user_id: int
    at: datetime
    session_id: int | None = None
    api_token_hash: str | None = None
    access: AccessRule = SESSION_ONLY
    issued_at: float = field(default=math.inf, compare=False)
    """When the session's token was signed, in seconds since 1970."""

    @property
    def credential(self) -> str:
        """What tells this session or API token from every other one."""
        return self.api_token_hash or f"session {self.session_id}"


@dataclass(frozen=True, slots=True)
class _VerifiedToken:
    """What a genuine token says. Its signature stays right; whether it is in force is asked each time."""

    user_id: int
    session_id: int
    issued_at: int
    expires_at: int


class TokenSigner:
    """Signs and reads access tokens with the service's key; the algorithm is the server's choice, not the token's."""

    def __init__(self, settings: Settings) -> None:
        self._key = Keyring(settings).signing_key
        self._algorithm = settings.ALGORITHM
        self.lifetime = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
        self._verified_tokens: dict[bytes, _VerifiedToken] = {}

    def sign(self, user_id: int, session_id: int, *, at: datetime) -> str:
        """An access token of the person's session that ends after ACCESS_TOKEN_EXPIRE_MINUTES."""
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
        """The claims of a token. Raises InvalidToken for what is none of ours, without saying what was wrong."""
        if token is None:
            raise InvalidToken("Log in and send the access token as `Authorization: Bearer ...`.")
        try:
            if token.startswith(API_TOKEN_PREFIX):
                return Claims(
                    _require_valid_user_id(claimed_user_id(token)), at, api_token_hash=digest(token), access=access
                )
            verified = self._verify_cached(token)
        except (JWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise InvalidToken("The access token is not valid, or no longer. Log in again.") from None
        return Claims(verified.user_id, at, session_id=verified.session_id, access=access, issued_at=verified.issued_at)

    def _verify_cached(self, token: str) -> _VerifiedToken:
        """What a token in force says. It is proven once: the same one comes with every request of its half hour."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("longer than any token of ours")
        key = hashlib.sha256(token.encode()).digest()
        verified = self._verified_tokens.get(key)
        if verified is None:
            verified = self._verify(token)
            if len(self._verified_tokens) >= VERIFIED_CACHE_SIZE:
                self._verified_tokens.pop(next(iter(self._verified_tokens)), None)
            self._verified_tokens[key] = verified
        now = utc_now().timestamp()
        if verified.issued_at > now + 60:
            raise ValueError("issued in the future")
        if verified.expires_at < now:
            raise ValueError("over")
        return verified

    def _verify(self, token: str) -> _VerifiedToken:
        claims = jwt.decode(
            token,
            self._key,
            algorithms=[self._algorithm],  # python-jose takes any algorithm where the list is left out
            audience=AUDIENCE,
            issuer=ISSUER,
            options={f"require_{name}": True for name in ("exp", "iat", "sub", "jti", "iss", "aud")} | {"leeway": 0},
        )
        issued_at, expires_at = int(claims["iat"]), int(claims["exp"])
        if claims["typ"] != ACCESS_TYPE or not issued_at < expires_at <= issued_at + self.lifetime.total_seconds():
            raise ValueError("not an access token of ours")
        subject, session_id = claims["sub"], claims["sid"]
        if not (subject.isascii() and subject.isdigit()):
            raise ValueError("no such person can be")
        if type(session_id) is not int or not 0 < session_id <= MAX_SESSION_ID:
            raise ValueError("no such session can be")
        return _VerifiedToken(_require_valid_user_id(int(subject)), session_id, issued_at, expires_at)


def _require_valid_user_id(user_id: int) -> int:
    if not 0 < user_id <= MAX_USER_ID:
        raise ValueError("no such person can be")
    return user_id
