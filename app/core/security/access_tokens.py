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
from app.core.security.opaque_tokens import API_TOKEN_PREFIX, digest, owner_of
from app.core.time.clock import utc_now

ISSUER = "employee-time-tracking-api"
AUDIENCE = "employee-time-tracking-api/v1"
ACCESS = "access"
MAX_TOKEN_LENGTH = 2048
MAX_USER_ID = 2**31 - 1
MAX_SESSION_ID = 2**31 - 1
MAX_PROVEN = 10_000
"""How many tokens a worker remembers as genuine: their digests and claims, some 400 bytes each."""


class BadToken(NotAuthenticated):
    code = "not_authenticated"
    title = "Not authenticated"


class TokenScope(StrEnum):
    """What an API token is for. A session's token is for everything that its person may do."""

    entries_read = "entries:read"
    entries_write = "entries:write"
    reports_read = "reports:read"
    admin = "admin"


class Waiting(StrEnum):
    """What a person has to do before they may do anything else."""

    password = "password"  # noqa: S105 - to change it
    second_factor = "second_factor"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation beside those who logged in and have nothing to do first."""

    scopes: frozenset[TokenScope] = frozenset()
    """API tokens that have one of these."""
    waiting: frozenset[Waiting] = frozenset()
    """People who have to do this first."""


NOBODY_ELSE = Access()


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
    access: Access = NOBODY_ELSE
    issued_at: float = field(default=math.inf, compare=False)
    """When the session's token was signed, in seconds since 1970."""

    @property
    def credential(self) -> str:
        """What tells this session or API token from every other one."""
        return self.api_token_hash or f"session {self.session_id}"


@dataclass(frozen=True, slots=True)
class _Proven:
    """What a genuine token says. Its signature stays right; whether it is in force is asked each time."""

    user_id: int
    session_id: int
    issued: int
    ends: int


class TokenSigner:
    """Signs and reads access tokens with the service's key; the algorithm is the server's choice, not the token's."""

    def __init__(self, settings: Settings) -> None:
        self._key = Keyring(settings).signing_key
        self._algorithm = settings.ALGORITHM
        self.lifetime = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
        self._proven: dict[bytes, _Proven] = {}

    def sign(self, user_id: int, session_id: int, *, at: datetime) -> str:
        """An access token of the person's session that ends after ACCESS_TOKEN_EXPIRE_MINUTES."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "jti": secrets.token_urlsafe(12),
            "typ": ACCESS,
            "sid": session_id,
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm)

    def read(self, token: str | None, access: Access = NOBODY_ELSE, *, at: datetime) -> Claims:
        """The claims of a token. Raises BadToken for what is none of ours, without saying what was wrong."""
        if token is None:
            raise BadToken("Log in and send the access token as `Authorization: Bearer ...`.")
        try:
            if token.startswith(API_TOKEN_PREFIX):
                return Claims(_person(owner_of(token)), at, api_token_hash=digest(token), access=access)
            proven = self._genuine(token)
        except (JWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise BadToken("The access token is not valid, or no longer. Log in again.") from None
        return Claims(proven.user_id, at, session_id=proven.session_id, access=access, issued_at=proven.issued)

    def _genuine(self, token: str) -> _Proven:
        """What a token in force says. It is proven once: the same one comes with every request of its half hour."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("longer than any token of ours")
        key = hashlib.sha256(token.encode()).digest()
        proven = self._proven.get(key)
        if proven is None:
            proven = self._prove(token)
            if len(self._proven) >= MAX_PROVEN:
                self._proven.pop(next(iter(self._proven)), None)
            self._proven[key] = proven
        now = utc_now().timestamp()
        if proven.issued > now + 60:
            raise ValueError("issued in the future")
        if proven.ends < now:
            raise ValueError("over")
        return proven

    def _prove(self, token: str) -> _Proven:
        claims = jwt.decode(
            token,
            self._key,
            algorithms=[self._algorithm],  # python-jose takes any algorithm where the list is left out
            audience=AUDIENCE,
            issuer=ISSUER,
            options={f"require_{name}": True for name in ("exp", "iat", "sub", "jti", "iss", "aud")} | {"leeway": 0},
        )
        issued, ends = int(claims["iat"]), int(claims["exp"])
        if claims["typ"] != ACCESS or not issued < ends <= issued + self.lifetime.total_seconds():
            raise ValueError("not an access token of ours")
        subject, session_id = claims["sub"], claims["sid"]
        if not (subject.isascii() and subject.isdigit()):
            raise ValueError("no such person can be")
        if type(session_id) is not int or not 0 < session_id <= MAX_SESSION_ID:
            raise ValueError("no such session can be")
        return _Proven(_person(int(subject)), session_id, issued, ends)


def _person(user_id: int) -> int:
    if not 0 < user_id <= MAX_USER_ID:
        raise ValueError("no such person can be")
    return user_id
