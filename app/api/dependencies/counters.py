"""Counters of domain events. They are incremented after the commit, so events of a rollback are not counted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.core.errors import DomainError
from app.core.observability.metrics import AUDIT_EVENTS, LOGIN_FAILURES
from app.services.auth.errors import LoginRefused, OtpWrong, SecondFactorLocked
from app.services.auth.login_throttle import LoginLimitReached

FAILURE_REASONS: dict[type[DomainError], str] = {
    LoginRefused: "wrong",
    OtpWrong: "wrong_code",
    SecondFactorLocked: "locked_code",
    LoginLimitReached: "limited",
}


def count_audit_events(actions: Iterable[str]) -> None:
    """Count the audit events of a committed transaction by object type, such as `time_entry` for
    `time_entry:clock_in`."""
    for action in actions:
        AUDIT_EVENTS.labels(action.partition(":")[0]).inc()


@contextmanager
def count_login_failures() -> Iterator[None]:
    """Count a rejected login that is raised in this block. Its transaction has ended by then."""
    try:
        yield
    except DomainError as error:
        if reason := FAILURE_REASONS.get(type(error)):
            LOGIN_FAILURES.labels(reason).inc()
        raise
