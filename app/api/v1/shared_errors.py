"""Errors that several operations share."""

from app.api.dependencies.streaming import InsufficientStorage
from app.api.openapi.error_responses import CALLER_ERRORS, REQUEST_ERRORS, SERVER_ERRORS
from app.core.errors import DomainError
from app.core.security.passwords import LoginQueueFull
from app.core.server.export_limit import TooManyExports
from app.services.access.errors import RoleRequired
from app.services.auth.errors import PasswordRequired, PasswordWrong
from app.services.auth.login_throttle import LoginLimitReached
from app.services.calendar.periods import PeriodReversed
from app.services.idempotency import IdempotencyKeyReused, RequestInFlight

ErrorTypes = tuple[type[DomainError], ...]
COMMON_ERRORS: ErrorTypes = (*REQUEST_ERRORS, *SERVER_ERRORS)
AUTH_ERRORS: ErrorTypes = (*COMMON_ERRORS, *CALLER_ERRORS)
PASSWORD_ERRORS: ErrorTypes = (PasswordWrong, LoginLimitReached, LoginQueueFull)
RECENT_LOGIN_ERRORS: ErrorTypes = (PasswordRequired, *PASSWORD_ERRORS)
ROLE_ERRORS: ErrorTypes = (*AUTH_ERRORS, RoleRequired)
IDEMPOTENCY_ERRORS: ErrorTypes = (IdempotencyKeyReused, RequestInFlight)
PERIOD_ERRORS: ErrorTypes = (PeriodReversed,)
STREAM_ERRORS: ErrorTypes = (InsufficientStorage,)
EXPORT_ERRORS: ErrorTypes = (*STREAM_ERRORS, TooManyExports)
