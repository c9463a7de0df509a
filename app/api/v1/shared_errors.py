"""The errors that operations share, described once."""

from app.api.dependencies.streaming import NoRoom
from app.api.http.problems import BodyTooLarge, EncodedBody, InternalError, ValidationFailed
from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.errors import DomainError
from app.core.security.access_tokens import BadToken
from app.core.server.rate_limit import TooManyRequests
from app.services.auth.login_throttle import LoginLimitReached
from app.services.constraints import (
    KeyReused,
    PasswordChangeRequired,
    PasswordWrong,
    PeriodReversed,
    RequestInFlight,
    RoleNeeded,
    ScopeNeeded,
    SecondFactorRequired,
    TooManyExports,
)

Kinds = tuple[type[DomainError], ...]
WITHOUT_LOGIN: Kinds = (ValidationFailed, BodyTooLarge, EncodedBody, InternalError, ServiceBusy, DatabaseUnavailable)
SIGNED_IN: Kinds = (
    *WITHOUT_LOGIN,
    BadToken,
    TooManyRequests,
    ScopeNeeded,
    PasswordChangeRequired,
    SecondFactorRequired,
)
PASSWORD_AGAIN: Kinds = (PasswordWrong, LoginLimitReached)
WITH_ROLE: Kinds = (*SIGNED_IN, RoleNeeded)
ONCE: Kinds = (KeyReused, RequestInFlight)
OF_PERIOD: Kinds = (PeriodReversed,)
OF_EXPORT: Kinds = (NoRoom, TooManyExports)
