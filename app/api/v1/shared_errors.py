"""The errors that operations share, described once."""

from app.api.dependencies.streaming import NoRoom
from app.api.http.problems import BodyTooLarge, EncodedBody, InternalError, ValidationFailed
from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.errors import DomainError
from app.core.security.access_tokens import BadToken
from app.core.server.export_limit import TooManyExports
from app.core.server.rate_limit import TooManyRequests
from app.services.access.errors import PasswordChangeRequired, RoleNeeded, ScopeNeeded, SecondFactorRequired
from app.services.auth.errors import PasswordWrong
from app.services.auth.login_throttle import LoginLimitReached
from app.services.calendar.periods import PeriodReversed
from app.services.idempotency import KeyReused, RequestInFlight

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
