"""Values of response headers."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.http.forwarded import path_prefix
from app.core.errors import RateLimitPolicy
from app.core.server.rate_limit import RemainingQuota


def etag(version: int) -> str:
    """Return the entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def external_path(request: Request) -> str:
    """Return the path that the client has requested, with the prefix that the proxy removed."""
    return f"{path_prefix(request.scope)}{request.url.path}"


def rate_limit_headers(policy: RateLimitPolicy, quota: RemainingQuota) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers."""
    return {
        "RateLimit-Policy": f'"{policy.name}";q={policy.quota};w={policy.window_seconds}',
        "RateLimit": f'"{policy.name}";r={quota.requests};t={quota.seconds}',
    }


def set_location(request: Request, response: Response, created_id: int | None = None) -> None:
    """Set Location to the URL of the object that this request has created in the list at its path.

    Without an id, the object has no URL of its own, and Location is the object to which it belongs.
    """
    path = external_path(request)
    response.headers["Location"] = path.rpartition("/")[0] if created_id is None else f"{path}/{created_id}"
