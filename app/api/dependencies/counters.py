"""What is counted of the domain. Each is told when it holds: after the commit."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.core.errors import DomainError
from app.core.observability.metrics import AUDIT_EVENTS, LOGIN_FAILURES
from app.services.auth.errors import LoginRefused, OtpWrong
from app.services.auth.login_throttle import LoginLimitReached

REASONS: dict[type[DomainError], str] = {LoginRefused: "wrong", OtpWrong: "wrong_code", LoginLimitReached: "limited"}


def count_recorded(actions: Iterable[str]) -> None:
    """Count the events of a transaction that was committed, by what they are about: `time_entry` of
    `time_entry:clock_in`."""
    for action in actions:
        AUDIT_EVENTS.labels(action.partition(":")[0]).inc()


@contextmanager
def failures_counted() -> Iterator[None]:
    """Count the refusal of a login that leaves this block; its transaction has ended then."""
    try:
        yield
    except DomainError as refusal:
        if reason := REASONS.get(type(refusal)):
            LOGIN_FAILURES.labels(reason).inc()
        raise
