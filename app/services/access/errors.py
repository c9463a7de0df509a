"""Domain errors of authorization, and of users that the caller may not see."""

from app.core.errors import Forbidden, NotFound


class RoleRequired(Forbidden):
    code = "role_required"
    title = "Role required"


class ScopeRequired(Forbidden):
    code = "scope_required"
    title = "Scope required"


class PasswordChangeRequired(Forbidden):
    code = "password_change_required"
    title = "Password change required"


class SecondFactorRequired(Forbidden):
    code = "second_factor_required"
    title = "Second factor required"


class UserNotFound(NotFound):
    code = "user_not_found"
    title = "User not found"
