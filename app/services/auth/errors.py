"""Domain errors of logins, passwords, second factors, login sessions and API tokens."""

from app.core.errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound, Unavailable


class LoginRefused(NotAuthenticated):
    code = "invalid_credentials"
    title = "Invalid credentials"
    is_audited = True


class OtpRequired(NotAuthenticated):
    code = "otp_required"
    title = "One-time code required"
    is_audited = True


class OtpWrong(NotAuthenticated):
    code = "invalid_otp"
    title = "Invalid one-time code"
    is_audited = True


class LinkRefused(NotAuthenticated):
    code = "invalid_link"
    title = "Invalid link"


class PasswordWrong(Forbidden):
    code = "invalid_password"
    title = "Invalid password"
    is_audited = True


class PasswordRequired(Forbidden):
    code = "current_password_required"
    title = "Current password required"


class CodeWrong(Forbidden):
    code = "invalid_code"
    title = "Invalid code"
    is_audited = True


class EnrollmentDiscarded(Forbidden):
    code = "enrollment_discarded"
    title = "Enrollment discarded"
    is_audited = True


class SecondFactorLocked(Forbidden):
    code = "second_factor_locked"
    title = "Second factor locked"
    is_audited = True


class OwnAccount(Forbidden):
    code = "own_account"
    title = "Own account"


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "Login session not found"


class ApiTokenNotFound(NotFound):
    code = "api_token_not_found"
    title = "API token not found"


class UserInactive(Conflict):
    code = "user_inactive"
    title = "User deactivated"


class SecondFactorExists(Conflict):
    code = "second_factor_exists"
    title = "Second factor already enrolled"


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    title = "No second factor enrolled"


class NotEnrolling(Conflict):
    code = "enrollment_not_started"
    title = "Enrollment not started"


class TooManyApiTokens(Conflict):
    code = "too_many_api_tokens"
    title = "Too many API tokens"


class PasswordUnchanged(Invalid):
    code = "password_unchanged"
    title = "Password unchanged"


class ExpiryOutOfRange(Invalid):
    code = "expiry_out_of_range"
    title = "Expiry out of range"


class SecondFactorUnreadable(Unavailable):
    code = "second_factor_unreadable"
    title = "Second factor unreadable"
    retry_after_seconds = 60
