"""The actions that a caller may take on users now, by the checks of the services that take them."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime

from app.core.database.session import Session
from app.core.errors import DomainError
from app.models.users import Role, User
from app.schemas.users.user import AccountRead, UserAction, UserWithActions
from app.services import period_locks
from app.services.access.actor import Actor, UserRow
from app.services.access.api_token_limits import require_may_change
from app.services.auth import login_sessions, passwords, second_factor
from app.services.users import role_rules


class Rights:
    """The actions of an admin, or of the operator, on these users. What the checks need is read once for all of them.

    An action that would change nothing is left out, such as the activation of an active user.
    """

    def __init__(self, session: Session, actor: Actor | None, users: Sequence[UserRow]) -> None:
        self._session, self._actor = session, actor
        self._known: dict[tuple[Hashable, ...], list[UserAction]] = {}
        may_have_reports = [user.id or 0 for user in users if user.role is not Role.employee]
        self._managers = role_rules.find_managers(session, may_have_reports) if may_have_reports else set()
        has_admin = any(user.role is Role.admin for user in users)
        self._last_admin = role_rules.find_last_admin(session) if has_admin else None
        period_locks.preload(session, [user.id or 0 for user in users if not user.is_active])

    def actions(self, user: UserRow, *, at: datetime) -> list[UserAction]:
        """Return the actions that the actor may take on the user now. Users of one kind are judged once."""
        kind = self._kind(user)
        if kind not in self._known:
            self._known[kind] = list(self._find_actions(user, at=at))
        return self._known[kind]

    def _kind(self, user: UserRow) -> tuple[Hashable, ...]:
        """Return what the checks know of the user. The activation also depends on the timesheets of the user."""
        is_singular = not user.is_active or user.id in (self._last_admin, self._actor and self._actor.id)
        columns = user.role, user.manager_id is None, user.has_second_factor, user.id in self._managers
        return *columns, user.id if is_singular else None

    def _find_actions(self, user: UserRow, *, at: datetime) -> Iterator[UserAction]:
        actor = self._actor
        if self._has_resigned(user) or not _passes(require_may_change, actor, user):
            return
        yield "update"
        if _passes(role_rules.check_new_email, actor):
            yield "update_email"
        if any(self._may_become(user, role) for role in Role if role is not user.role):
            yield "update_role"
        yield "assign_manager"
        if user.manager_id is not None:
            yield "remove_manager"
        if user.is_active and _passes(role_rules.check_admin_remains, user, self._last_admin):
            yield "deactivate"
        if not user.is_active and _passes(role_rules.check_activation, self._session, actor, user, at=at):
            yield "activate"
        if _passes(passwords.check_may_change_login, actor, user):
            yield "set_password"
        if _passes(passwords.check_may_link, actor, user):
            yield "create_password_link"
        if _passes(login_sessions.check_may_end_all, actor):
            yield "end_sessions"
        if _passes(second_factor.check_may_reset, actor, user):
            yield "reset_second_factor"

    def _has_resigned(self, user: UserRow) -> bool:
        """Return True if the actor has just given up the rights of an admin, on their own account."""
        is_self = self._actor is not None and self._actor.id == user.id
        return is_self and not (user.is_active and user.role is Role.admin)

    def _may_become(self, user: UserRow, role: Role) -> bool:
        check = role_rules.check_new_role
        return _passes(check, self._actor, user, role, last_admin=self._last_admin, managers=self._managers)


def respond(session: Session, actor: Actor | None, user: User, *, at: datetime) -> UserWithActions:
    """Return the user as a response, with the actions that the actor may take now."""
    fields = dict(AccountRead.model_validate(user))
    return UserWithActions.model_construct(**fields, can=Rights(session, actor, [user]).actions(user, at=at))


def _passes(check: Callable[..., None], *args: object, **options: object) -> bool:
    try:
        check(*args, **options)
    except DomainError:
        return False
    return True
