"""Families of domain errors. api/http/problems.py maps each family to an HTTP status. Services define the errors."""

from dataclasses import dataclass
from typing import Any, ClassVar


class DomainError(Exception):
    """A violated rule. Clients act on `code`, which is stable. The message says what happened and what to do next."""

    code: ClassVar[str]
    title: ClassVar[str]
    is_audited: ClassVar[bool] = False
    """True if the rejection is recorded: its transaction commits with an audit event before the error is raised."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class NotAuthenticated(DomainError):
    """The caller is not authenticated."""


class Forbidden(DomainError):
    """The caller is authenticated but lacks the permission."""


class NotFound(DomainError):
    """The object does not exist, or is not visible to the caller. Both cases have the same response."""


class Conflict(DomainError):
    """The operation conflicts with the current state."""


class Invalid(DomainError):
    """The request is well-formed, but a value in it is invalid."""


class MethodNotAllowed(DomainError):
    """The path exists, but not with this HTTP method."""


class PreconditionFailed(DomainError):
    """The object was changed after the caller read it. `version` is its current version."""

    def __init__(self, detail: str, *, version: int, **extensions: Any) -> None:
        super().__init__(detail, version=version, **extensions)
        self.version = version


class ContentTooLarge(DomainError):
    """The request body is larger than the limit."""


class RequestTimeout(DomainError):
    """The request was not received in time."""


class Misdirected(DomainError):
    """The request names a host that is not served here."""


class UnsupportedMediaType(DomainError):
    """The media type or content encoding of the body is not supported."""


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """At most `quota` units in `window_seconds`. Responses show the name, so it must be plain ASCII."""

    name: str
    quota: int
    window_seconds: int


class RateLimited(DomainError):
    """The caller has exceeded the policy's quota, and may retry after `retry_after_seconds`."""

    def __init__(self, detail: str, *, policy: RateLimitPolicy, retry_after_seconds: int, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.policy = policy
        self.retry_after_seconds = retry_after_seconds


class InternalFailure(DomainError):
    """An error of the service itself."""


class Unavailable(DomainError):
    """The service is temporarily unavailable. The caller may retry after `retry_after_seconds`."""

    retry_after_seconds: ClassVar[int] = 1
