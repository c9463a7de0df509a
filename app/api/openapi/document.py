"""The OpenAPI document: FastAPI's own, with our error responses, response headers and API tokens."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import __version__
from app.api.http.problems import MEDIA_TYPE, BodyTooSlow, FormRequired, HostNotServed, JsonRequired
from app.api.openapi.error_responses import error_responses
from app.api.openapi.security import SECURITY_SCHEMES, add_security, document_below
from app.core.errors import DomainError
from app.schemas.types import MAX_ENTRY_ID

DESCRIPTION = """
Record working time to the second: clock in and out, correct entries, report and export hours.

**Try it here:**

1. Click *Authorize*, and enter your e-mail address as the username and your password. With a second factor, send
   `POST /auth/login` with `otp`, and enter the `access_token` under *AccessToken*.
2. A new server has no projects. As an admin, create one with `POST /admin/projects`. Its response has the `id`.
   `GET /projects` lists the projects that you may clock in on.
3. Clock in with `POST /time-entries/clock-in` and that `id` as `project_id`.
4. Clock out with `POST /time-entries/clock-out`, and list your entries with `GET /time-entries/me`.

**Scripts and terminals:** create an API token with `POST /auth/api-tokens`. Here you can enter it under *ApiToken*. The
`security` of each operation lists the scopes of `ApiToken` that it accepts. An operation without them does not accept
API tokens.

**HEAD** is accepted wherever GET is.

**Times** are RFC 3339 instants in UTC. Dates are local days in the time zone of the entry, or in `time_zone`.
**Errors** are `application/problem+json`. Check `code`, show `detail`, and quote `request_id` in support requests.
"""
TAGS = [
    {"name": "auth", "description": "Login, your account, password, second factor, login sessions and API tokens."},
    {"name": "time entries", "description": "Clock in, clock out, add, correct and list entries."},
    {"name": "projects", "description": "Projects that you may clock in on."},
    {"name": "team", "description": "Users whose entries you may see."},
    {"name": "reports", "description": "Hours by day, by team and by group, and the users who are clocked in."},
    {
        "name": "exports",
        "description": "Files with hours for payroll, for managers and admins. Monthly timesheets, for all users.",
    },
    {"name": "admin: users", "description": "Users, roles and managers. For admins."},
    {"name": "admin: projects", "description": "Projects and their members. For admins."},
    {"name": "admin: audit", "description": "The audit log. For admins."},
    {"name": "health", "description": "Health checks and metrics. For operators."},
]
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "An error response (RFC 9457). `code` is stable and identifies the error.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "maxLength": 200},
        "title": {"type": "string", "maxLength": 200},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "maxLength": 1000},
        "code": {"type": "string", "maxLength": 64},
        "instance": {"type": "string", "maxLength": 2000},
        "request_id": {"type": "string", "maxLength": 64},
        "entry_id": {"type": "integer", "minimum": 1, "maximum": MAX_ENTRY_ID},
        "version": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "error_count": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["loc", "message", "type"],
                "properties": {
                    "loc": {
                        "type": "array",
                        "maxItems": 100,
                        "items": {"type": ["string", "integer"], "maxLength": 100, "minimum": 0, "maximum": 2**31 - 1},
                    },
                    "message": {"type": "string", "maxLength": 2000},
                    "type": {"type": "string", "maxLength": 100},
                },
            },
        },
    },
}


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "ID of the request in the server's log. The server keeps the one that you send if it matches "
        "the pattern.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 64},
    },
    "X-Total-Count": {
        "description": "Total number of items on all pages.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    },
    "Link": {
        "description": 'URL of the next page (`rel="next"`). Absent on the last page.',
        "schema": {"type": "string", "maxLength": 2**18},
    },
    "X-As-Of": {
        "description": "Instant at which the response was computed.",
        "required": True,
        "schema": {"type": "string", "format": "date-time"},
    },
    "ETag": {
        "description": "Version of the entry, for If-Match.",
        "required": True,
        "schema": {"type": "string", "maxLength": 16},
    },
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "Retry-After": {
        "description": "Seconds to wait before you retry.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": 3600},
    },
    "Location": {
        "description": "URL of what was created. For a password link, of its user.",
        "required": True,
        "schema": {"type": "string", "maxLength": 300},
    },
    "Idempotent-Replayed": {
        "description": "`true` if the Idempotency-Key was used before, and nothing was changed now. Else absent.",
        "schema": {"const": "true"},
    },
    "RateLimit-Policy": {
        "description": "Limit of your credential, or the one that you reached: its name, its quota (`q`) and its "
        "window in seconds (`w`).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[a-z-]+";q=[0-9]+;w=[0-9]+$', "maxLength": 100},
    },
    "RateLimit": {
        "description": "Remaining quota (`r`), and seconds until there is more (`t`).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[a-z-]+";r=[0-9]+;t=[0-9]+$', "maxLength": 100},
    },
}
RATE_LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
HEADERS_BY_STATUS = {
    "201": ("Location",),
    "401": ("WWW-Authenticate",),
    "412": ("ETag",),
    "429": ("Retry-After", *RATE_LIMIT_HEADERS),
    "503": ("Retry-After",),
}
MEDIA_TYPE_ERRORS = {"application/json": JsonRequired, "application/x-www-form-urlencoded": FormRequired}
HEADERS_BY_PARAMETER = {
    "skip": ("X-Total-Count", "Link"),
    "cursor": ("Link",),
    "start_date": ("X-As-Of",),
    "month": ("X-As-Of",),
    "Idempotency-Key": ("Idempotent-Replayed",),
}
HEADERS_BY_TAG = {"reports": ("X-As-Of",)}
HEADER_BY_SCHEMA = {"TimeEntryRead": "ETag", "TimeEntryWithProject": "ETag"}


def operation_id(route: APIRoute) -> str:
    """Return the endpoint's name, so that a generated client has methods such as `clock_in`.

    FastAPI's default adds the path and the method, as in `clock_in_api_v1_time_entries_clock_in_post`.
    """
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Make the app serve this document. It is built at the first request and cached."""

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=__version__, description=DESCRIPTION, routes=app.routes, tags=TAGS
            )
            schemas = document["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for operations in document["paths"].values():
                for operation in operations.values():
                    _remove_null_type(operation)
                    add_security(operation)
                    _add_common_errors(operation)
                    _add_headers(operation)
                    _add_body_example(operation, schemas)
            schemas["Problem"] = PROBLEM_SCHEMA
            document["components"]["headers"] = HEADERS
            document["components"]["securitySchemes"] |= SECURITY_SCHEMES
            app.openapi_schema = document_below("", document)
        return app.openapi_schema

    app.openapi = build_document  # type: ignore[method-assign]


def _remove_null_type(operation: dict[str, Any]) -> None:
    """Remove null from the types of optional parameters, because no query or header can contain null."""
    for parameter in operation.get("parameters", []):
        variants = [variant for variant in parameter["schema"].pop("anyOf", []) if variant != {"type": "null"}]
        parameter["schema"] |= variants[0] if variants else {}


def _add_common_errors(operation: dict[str, Any]) -> None:
    """Add the error responses of the middlewares, and those of a body with another media type."""
    error_types: list[type[DomainError]] = [HostNotServed]
    media_types = operation.get("requestBody", {}).get("content", {})
    if media_types:
        error_types.append(BodyTooSlow)
    error_types += [error for media_type, error in MEDIA_TYPE_ERRORS.items() if media_type in media_types]
    responses = operation["responses"]
    for status, response in error_responses(*error_types).items():
        present = responses.setdefault(str(status), response)
        if present is not response:
            present["description"] += f"; {response['description']}"
            present["content"][MEDIA_TYPE]["examples"] |= response["content"][MEDIA_TYPE]["examples"]
    operation["responses"] = dict(sorted(responses.items()))


def _add_headers(operation: dict[str, Any]) -> None:
    """Add the response headers, which depend on parameters, tag, status and schema."""
    parameter_names = [parameter["name"] for parameter in operation.get("parameters", [])]
    success_headers = [header for name in parameter_names for header in HEADERS_BY_PARAMETER.get(name, ())]
    success_headers += [header for tag in operation["tags"] for header in HEADERS_BY_TAG.get(tag, ())]
    if operation["security"]:
        success_headers += RATE_LIMIT_HEADERS
    for status, response in operation["responses"].items():
        header_names = list(HEADERS_BY_STATUS.get(status, ())) + (success_headers if status < "300" else [])
        schema = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
        header_names = header_names + [
            HEADER_BY_SCHEMA[name] for name in [schema.rpartition("/")[2]] if name in HEADER_BY_SCHEMA
        ]
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *header_names]
        }


def _add_body_example(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Build the example of a body from the examples of its fields. (A file has its own.)"""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in media:
            continue
        fields = schemas[media["schema"]["$ref"].rpartition("/")[2]]["properties"]
        media["example"] = {name: _example(field) for name, field in fields.items()}


def _example(field: dict[str, Any]) -> Any:
    variants = field.get("anyOf", [field])  # for a nullable field, the other variant has the example
    return next(variant["examples"][0] for variant in variants if "examples" in variant)
