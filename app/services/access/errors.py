"""Domain errors of callers who may not do something, and of users whom they may not see."""

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
