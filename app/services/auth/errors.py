"""Domain errors of logins, passwords, second factors, sessions and API tokens."""

from app.core.errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound, Unavailable


class LoginRefused(NotAuthenticated):
    code = "login_refused"
    title = "Login refused"
    is_recorded = True


class OtpRequired(NotAuthenticated):
    code = "otp_required"
    title = "A second factor is needed"
    is_recorded = True


class OtpWrong(NotAuthenticated):
    code = "otp_wrong"
    title = "The code is wrong"
    is_recorded = True


class LinkRefused(NotAuthenticated):
    code = "link_refused"
    title = "The link is not valid"


class PasswordWrong(Forbidden):
    code = "password_wrong"
    title = "Not your present password"
    is_recorded = True


class CodeWrong(Forbidden):
    code = "code_wrong"
    title = "The code is wrong"
    is_recorded = True


class OwnAccount(Forbidden):
    code = "own_account"
    title = "Not for your own account"


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "No such session"


class ApiTokenNotFound(NotFound):
    code = "api_token_not_found"
    title = "No such API token"


class PersonInactive(Conflict):
    code = "person_inactive"
    title = "The person is deactivated"


class SecondFactorExists(Conflict):
    code = "second_factor_exists"
    title = "There is a second factor already"


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    title = "There is no second factor"


class NotEnrolling(Conflict):
    code = "not_enrolling"
    title = "No enrolment was begun"


class TooManyApiTokens(Conflict):
    code = "too_many_api_tokens"
    title = "Too many API tokens"


class PasswordUnchanged(Invalid):
    code = "password_unchanged"
    title = "The password stays the same"


class ExpiryOutOfRange(Invalid):
    code = "expiry_out_of_range"
    title = "The expiry is out of range"


class SecondFactorUnreadable(Unavailable):
    code = "second_factor_unreadable"
    title = "The second factor can't be read"
    retry_after_seconds = 60
