"""The OpenAPI document: what FastAPI derives, with one description of problems and 422 as we answer it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import __version__
from app.api.http.problems import BodyTooSlow, HostNotServed, error_responses
from app.api.http.request_middleware import INFRASTRUCTURE_PATHS
from app.core.errors import DomainError
from app.schemas.types import MAX_ENTRY_ID

DESCRIPTION = """
Who worked when, exact to the second.

**To try it here:** press *Authorize*, enter your e-mail as username and your password. Then clock in with
`POST /time-entries/clock-in`, clock out, and read `GET /time-entries/me`.

**For a script or a terminal:** make an API token with `POST /auth/api-tokens`. The `security` of each operation names
the scopes that it takes; without any it needs a login.

**Times** are RFC 3339 instants in UTC; dates are days of the entry's time zone, or of `time_zone`.
**Errors** are `application/problem+json`; act on `code`, show `detail`, quote `request_id` when you ask us.
"""
TAGS = [
    {"name": "auth", "description": "Log in, and your own account."},
    {"name": "time entries", "description": "Clock in, clock out, enter and correct time, your own hours."},
    {"name": "projects", "description": "What you may book."},
    {"name": "team", "description": "Whom you may see."},
    {"name": "reports", "description": "Hours by day, by team, by any group; who is clocked in."},
    {
        "name": "exports",
        "description": "Files: hours for payroll, for managers and admins; a month to sign, for everybody.",
    },
    {"name": "admin: users", "description": "People, roles, managers. For admins."},
    {"name": "admin: projects", "description": "Projects and their members. For admins."},
    {"name": "admin: audit", "description": "What happened, to whom, by whom and why. For admins."},
    {"name": "health", "description": "For operators."},
]
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable and enough to act on.",
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
        "description": "Names this request in our log. Yours is kept if it is plain.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 64},
    },
    "X-Total-Count": {
        "description": "How many there are in all.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    },
    "Link": {
        "description": 'The next page, as rel="next"; absent on the last.',
        "schema": {"type": "string", "maxLength": 2**18},
    },
    "X-As-Of": {
        "description": "When the hours were computed.",
        "required": True,
        "schema": {"type": "string", "format": "date-time"},
    },
    "ETag": {
        "description": "Its version, for If-Match.",
        "required": True,
        "schema": {"type": "string", "maxLength": 16},
    },
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": 3600},
    },
    "RateLimit-Policy": {
        "description": "The limit that was reached: its name, how many (`q`) in how many seconds (`w`).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[a-z-]+";q=[0-9]+;w=[0-9]+$', "maxLength": 100},
    },
    "RateLimit": {
        "description": "What is left of it (`r`), and the seconds (`t`) until there is more.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[a-z-]+";r=[0-9]+;t=[0-9]+$', "maxLength": 100},
    },
}
API_TOKEN_SCHEME = "ApiToken"  # noqa: S105 - the name of a security scheme
HEADERS_BY_STATUS = {
    "401": ("WWW-Authenticate",),
    "412": ("ETag",),
    "429": ("Retry-After", "RateLimit-Policy", "RateLimit"),
    "503": ("Retry-After",),
}
HEADERS_BY_PARAMETER = {
    "skip": ("X-Total-Count", "Link"),
    "cursor": ("Link",),
    "start_date": ("X-As-Of",),
    "month": ("X-As-Of",),
}
HEADERS_BY_TAG = {"reports": ("X-As-Of",)}
HEADER_BY_SCHEMA = {"TimeEntryRead": "ETag", "TimeEntryWithProject": "ETag"}


def operation_id(route: APIRoute) -> str:
    """Return the endpoint's name, so that a generated client has methods such as `clock_in`.

    FastAPI's default adds the path and the method, as in `clock_in_api_v1_time_entries_clock_in_post`.
    """
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Give the app its document."""

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=__version__, description=DESCRIPTION, routes=app.routes, tags=TAGS
            )
            schemas = document["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _remove_null_type(operation)
                    _add_security(operation)
                    _add_common_errors(path, operation)
                    _add_headers(operation)
                    _add_body_example(operation, schemas)
            schemas["Problem"] = PROBLEM_SCHEMA
            document["components"]["headers"] = HEADERS
            document["components"]["securitySchemes"][API_TOKEN_SCHEME] = {
                "type": "http",
                "scheme": "bearer",
                "description": "An API token with one of the scopes that the operation names. One without scopes takes "
                "the token of a login only.",
            }
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = build_document  # type: ignore[method-assign]


def _remove_null_type(operation: dict[str, Any]) -> None:
    """A parameter that may be left out can't be null: nothing in an address or a header is."""
    for parameter in operation.get("parameters", []):
        variants = [variant for variant in parameter["schema"].pop("anyOf", []) if variant != {"type": "null"}]
        parameter["schema"] |= variants[0] if variants else {}


def _add_security(operation: dict[str, Any]) -> None:
    """Say that an operation takes the token of a session, or an API token with any one of its scopes. (FastAPI knows no
    "any one": it lists the scopes as if a session's token had to have them all.)"""
    for requirement in operation.get("security", []):
        ((scheme, scopes),) = requirement.items()
        operation["security"] = [{scheme: []}, *({API_TOKEN_SCHEME: [scope]} for scope in scopes)]


def _add_common_errors(path: str, operation: dict[str, Any]) -> None:
    """Add what is answered before an operation knows of its request."""
    error_types: list[type[DomainError]] = [BodyTooSlow] if "requestBody" in operation else []
    if not path.startswith(INFRASTRUCTURE_PATHS):
        error_types.append(HostNotServed)
    common = {str(status): response for status, response in error_responses(*error_types).items()}
    operation["responses"] = dict(sorted((operation["responses"] | common).items()))


def _add_headers(operation: dict[str, Any]) -> None:
    """Name each answer's headers: a page has a count, hours have an instant, a single entry has a tag."""
    parameter_names = [parameter["name"] for parameter in operation.get("parameters", [])]
    success_headers = [header for name in parameter_names for header in HEADERS_BY_PARAMETER.get(name, ())]
    success_headers += [header for tag in operation["tags"] for header in HEADERS_BY_TAG.get(tag, ())]
    for status, response in operation["responses"].items():
        header_names = success_headers if status == "200" else list(HEADERS_BY_STATUS.get(status, ()))
        schema = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
        header_names = header_names + [
            HEADER_BY_SCHEMA[name] for name in [schema.rpartition("/")[2]] if name in HEADER_BY_SCHEMA
        ]
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *header_names]
        }


def _add_body_example(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give a body the example that its fields' examples make. (A file has its own.)"""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in media:
            continue
        fields = schemas[media["schema"]["$ref"].rpartition("/")[2]]["properties"]
        media["example"] = {name: _example(field) for name, field in fields.items()}


def _example(field: dict[str, Any]) -> Any:
    variants = field.get("anyOf", [field])  # of what may be null, the example is in the kind that isn't
    return next(variant["examples"][0] for variant in variants if "examples" in variant)
