"""What is counted of the domain. Each is told when it holds: after the commit."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.core.errors import DomainError
from app.core.observability.metrics import AUDIT_EVENTS, LOGIN_FAILURES
from app.services.auth.errors import LoginRefused, OtpWrong
from app.services.auth.login_throttle import LoginLimitReached

FAILURE_REASONS: dict[type[DomainError], str] = {
    LoginRefused: "wrong",
    OtpWrong: "wrong_code",
    LoginLimitReached: "limited",
}


def count_audit_events(actions: Iterable[str]) -> None:
    """Count the events of a transaction that was committed, by what they are about: `time_entry` of
    `time_entry:clock_in`."""
    for action in actions:
        AUDIT_EVENTS.labels(action.partition(":")[0]).inc()


@contextmanager
def count_login_failures() -> Iterator[None]:
    """Count the refusal of a login that leaves this block; its transaction has ended then."""
    try:
        yield
    except DomainError as error:
        if reason := FAILURE_REASONS.get(type(error)):
            LOGIN_FAILURES.labels(reason).inc()
        raise
