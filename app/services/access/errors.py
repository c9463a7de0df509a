"""What a caller may not do, and users who are not there for them."""

from app.core.errors import Forbidden, NotFound


class RoleNeeded(Forbidden):
    code = "role_needed"
    title = "Your role may not do this"


class ScopeNeeded(Forbidden):
    code = "scope_needed"
    title = "The API token is not for this"


class PasswordChangeRequired(Forbidden):
    code = "password_change_required"
    title = "Change your password first"


class SecondFactorRequired(Forbidden):
    code = "second_factor_required"
    title = "Enrol a second factor first"


class UserNotFound(NotFound):
    code = "user_not_found"
    title = "No such person"
