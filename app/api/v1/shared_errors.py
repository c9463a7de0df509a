"""Errors that several operations share."""

from app.api.dependencies.streaming import InsufficientStorage
from app.api.http.problems import BodyTooLarge, InternalError, UnsupportedContentEncoding, ValidationFailed
from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.errors import DomainError
from app.core.security.access_tokens import InvalidToken
from app.core.security.passwords import LoginQueueFull
from app.core.server.export_limit import TooManyExports
from app.core.server.rate_limit import TooManyChanges, TooManyRequests
from app.services.access.errors import PasswordChangeRequired, RoleRequired, ScopeRequired, SecondFactorRequired
from app.services.auth.errors import PasswordRequired, PasswordWrong
from app.services.auth.login_throttle import LoginLimitReached
from app.services.calendar.periods import PeriodReversed
from app.services.idempotency import IdempotencyKeyReused, RequestInFlight

ErrorTypes = tuple[type[DomainError], ...]
COMMON_ERRORS: ErrorTypes = (
    ValidationFailed,
    BodyTooLarge,
    UnsupportedContentEncoding,
    InternalError,
    ServiceBusy,
    DatabaseUnavailable,
)
AUTH_ERRORS: ErrorTypes = (
    *COMMON_ERRORS,
    InvalidToken,
    TooManyRequests,
    TooManyChanges,
    ScopeRequired,
    PasswordChangeRequired,
    SecondFactorRequired,
)
PASSWORD_ERRORS: ErrorTypes = (PasswordWrong, LoginLimitReached, LoginQueueFull)
RECENT_LOGIN_ERRORS: ErrorTypes = (PasswordRequired, *PASSWORD_ERRORS)
ROLE_ERRORS: ErrorTypes = (*AUTH_ERRORS, RoleRequired)
IDEMPOTENCY_ERRORS: ErrorTypes = (IdempotencyKeyReused, RequestInFlight)
PERIOD_ERRORS: ErrorTypes = (PeriodReversed,)
STREAM_ERRORS: ErrorTypes = (InsufficientStorage,)
EXPORT_ERRORS: ErrorTypes = (*STREAM_ERRORS, TooManyExports)
