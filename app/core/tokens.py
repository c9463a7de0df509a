"""Access tokens: signed here, and read by one function that trusts nothing the token says about itself."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from jose import JWTError, jwt

from app.core.clock import utc_now
from app.core.config import Settings
from app.core.errors import NotAuthenticated

ISSUER = "employee-time-tracking-api"
AUDIENCE = "employee-time-tracking-api/v1"
ACCESS = "access"
MAX_TOKEN_LENGTH = 2048
MAX_USER_ID = 2**31 - 1


class BadToken(NotAuthenticated):
    code = "not_authenticated"
    title = "Not authenticated"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token proves: who logged in, and under which of their credentials.

    `epoch` is the person's token_epoch at login: a new password or a deactivation raises it, and older tokens die.
    Role and active flag are never read from a token.
    """

    user_id: int
    epoch: int


class TokenSigner:
    """Signs and reads access tokens with the service's key; the algorithm is the server's choice, not the token's."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.signing_key
        self._algorithm = settings.ALGORITHM
        self.lifetime = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)

    def sign(self, user_id: int, epoch: int, *, at: datetime) -> str:
        """An access token for the person that ends after ACCESS_TOKEN_EXPIRE_MINUTES."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "jti": secrets.token_urlsafe(12),
            "typ": ACCESS,
            "epoch": epoch,
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm)

    def read(self, token: str | None) -> Claims:
        """The claims of a valid access token. Raises BadToken for anything else, without saying what was wrong."""
        if token is None:
            raise BadToken("Log in and send the access token as `Authorization: Bearer ...`.")
        try:
            return self._claims(token)
        except (JWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise BadToken("The access token is not valid, or no longer. Log in again.") from None

    def _claims(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("longer than any token of ours")
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
        if issued > utc_now().timestamp() + 60:
            raise ValueError("issued in the future")
        subject, epoch = claims["sub"], claims["epoch"]
        if not (subject.isascii() and subject.isdigit() and 0 < int(subject) <= MAX_USER_ID):
            raise ValueError("no such person can be")
        if type(epoch) is not int or not 0 <= epoch <= MAX_USER_ID:
            raise ValueError("no such epoch can be")
        return Claims(user_id=int(subject), epoch=epoch)
