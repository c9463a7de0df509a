"""The families of domain errors. api/http/problems.py gives each family its status number; services name the errors."""

from dataclasses import dataclass
from typing import Any, ClassVar


class DomainError(Exception):
    """A rule said no. `code` is stable and enough for a client to act on; the message tells people what to do next."""

    code: ClassVar[str]
    title: ClassVar[str]
    is_audited: ClassVar[bool] = False
    """True where the refusal itself is evidence: its transaction commits, with its audit event, first."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class NotAuthenticated(DomainError):
    """We don't know who is asking."""


class Forbidden(DomainError):
    """We know who is asking, and they may not do this."""


class NotFound(DomainError):
    """It doesn't exist, or not for the one who asks: both look the same."""


class Conflict(DomainError):
    """A rule of the business says no in the present state of things."""


class Invalid(DomainError):
    """What was sent can't be meant."""


class MethodNotAllowed(DomainError):
    """The address is right, the method isn't."""


class PreconditionFailed(DomainError):
    """It was changed since the one who asks last read it: `version` is the present one."""

    def __init__(self, detail: str, *, version: int, **extensions: Any) -> None:
        super().__init__(detail, version=version, **extensions)
        self.version = version


class ContentTooLarge(DomainError):
    """More was sent than is read."""


class RequestTimeout(DomainError):
    """It was not sent in time."""


class Misdirected(DomainError):
    """It was meant for somebody else."""


class UnsupportedMediaType(DomainError):
    """It was sent in a form that isn't read."""


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """At most `quota` of something in `window_seconds`. The name is a plain word: answers show it."""

    name: str
    quota: int
    window_seconds: int


class RateLimited(DomainError):
    """More was asked for than the policy lets through: try again after `retry_after_seconds`."""

    def __init__(self, detail: str, *, policy: RateLimitPolicy, retry_after_seconds: int, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.policy = policy
        self.retry_after_seconds = retry_after_seconds


class InternalFailure(DomainError):
    """Our fault."""


class Unavailable(DomainError):
    """Not now: try again after `retry_after_seconds`."""

    retry_after_seconds: ClassVar[int] = 1
