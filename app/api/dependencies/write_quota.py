"""The quota of audit events that the writes of one user may cause. Events are never deleted, so they fill the disk.

Each kind of write has a quota of its own. So a stolen API token or login session uses up nothing that its user needs
to end it, or to clock in.
"""

from collections.abc import Set
from enum import StrEnum

from app.core.database.session import Session
from app.core.server.rate_limit import WriteLimiter
from app.core.time.clock import monotonic_seconds
from app.services.audit.recorder import recorded_actions, recorded_bytes

ENDING_ACTIONS = frozenset(
    {
        "session:log_out",
        "session:end",
        "session:end_others",
        "session:end_all",
        "api_token:revoke",
        "user:deactivate",
        "time_entry:close_on_deactivation",
    }
)
"""Actions that end access. They are always accepted. What they end was counted when it was created."""
_ACCESS_ACTIONS = ENDING_ACTIONS | {
    "user:change_password",
    "user:set_password",
    "user:set_password_by_link",
    "user:add_second_factor",
    "user:remove_second_factor",
    "user:reset_second_factor",
}
"""Actions that protect an account. They need the password, a password link, or an admin's login session."""
_PUNCHES = frozenset({"time_entry:clock_in", "time_entry:switch", "time_entry:clock_out"})


class WriteKind(StrEnum):
    """A kind of write with a quota of its own."""

    api_tokens = "API tokens"
    punches = "punches"
    changes = "changes"
    logins = "logins"
    access = "passwords and second factors"


class WriteQuota:
    """The quotas of one request. Without an API token, its actions say which quota counts."""

    def __init__(self, limiter: WriteLimiter, *, uses_api_token: bool) -> None:
        self._limiter = limiter
        self._uses_api_token = uses_api_token

    def check(self, session: Session) -> None:
        """Raise TooManyChanges if earlier events of the actor and of this kind have used up the quota.

        Call it after the service, which has authenticated the caller, so that a made-up token finds out nothing.
        """
        actions = frozenset(recorded_actions(session))
        if not actions <= ENDING_ACTIONS:
            for user_id in recorded_bytes(session):
                self._limiter.check((user_id, self._kind_of(actions)), at=monotonic_seconds())

    def charge(self, session: Session) -> None:
        """Count the events of a committed transaction, except those that only end access."""
        actions = frozenset(recorded_actions(session))
        if not actions <= ENDING_ACTIONS:
            for user_id, written_bytes in recorded_bytes(session).items():
                self._limiter.charge((user_id, self._kind_of(actions)), written_bytes, at=monotonic_seconds())

    def _kind_of(self, actions: Set[str]) -> WriteKind:
        if self._uses_api_token:
            return WriteKind.api_tokens
        if actions == {"login:accept"}:
            return WriteKind.logins
        if actions <= _PUNCHES:
            return WriteKind.punches
        return WriteKind.access if actions <= _ACCESS_ACTIONS else WriteKind.changes
