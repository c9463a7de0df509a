"""The OpenAPI document: FastAPI's own, with our error responses, response headers and API tokens."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import __version__
from app.api.openapi.error_responses import shared_responses, use_shared_responses
from app.api.openapi.fields import complete_parameters, complete_response, complete_schemas
from app.api.openapi.headers import HEADERS, add_headers, add_shared_headers
from app.api.openapi.security import SECURITY_SCHEMES, add_security, document_below
from app.models.timesheets import TimesheetStatus
from app.schemas.types import MAX_ENTRY_ID

DESCRIPTION = """
Record working time to the second: clock in and out, correct entries, report and export hours.

**Try it here:**

1. Click *Authorize*, and enter your e-mail address as the username and your password. With a second factor, send
   `POST /auth/login` with `otp`, and enter the `access_token` under *AccessToken*, further up.
2. A new server has no projects. As an admin, create one with `POST /admin/projects`. Its response has the `id`.
   `GET /projects` lists the projects that you may clock in on.
3. Clock in with `POST /time-entries/clock-in` and that `id` as `project_id`.
4. Clock out with `POST /time-entries/clock-out`, and list your entries with `GET /time-entries/me`.

**Scripts and terminals:** create an API token with `POST /auth/api-tokens`. Here you can enter it under *ApiToken*. It
needs one of the scopes that the `security` of the operation lists. An operation without scopes does not accept API
tokens.

**HEAD** is accepted wherever GET is.

**Times** are RFC 3339 instants in UTC. Dates are local days in the time zone of the entry, or in `time_zone`.
**Errors** are `application/problem+json`. Check `code`, show `detail`, and quote `request_id` in support requests. Each
operation lists its own errors, and under `4XX` and `5XX` those that all operations share.
"""
TAGS = [
    {"name": "auth", "description": "Login, your account, password, second factor, login sessions and API tokens."},
    {"name": "time entries", "description": "Clock in, clock out, add, correct and list entries."},
    {
        "name": "timesheets",
        "description": "Periods of hours that users submit, and that their managers approve, reject or reopen.",
    },
    {"name": "projects", "description": "Projects that you may clock in on."},
    {"name": "team", "description": "Users whose entries you may see."},
    {"name": "reports", "description": "Hours by day, by team and by group, and the users who are clocked in."},
    {
        "name": "exports",
        "description": "Files with hours for payroll, for managers and admins. Monthly timesheets, for all users.",
    },
    {"name": "admin: users", "description": "Users, roles and managers. For admins."},
    {"name": "admin: projects", "description": "Projects and their members. For admins."},
    {
        "name": "admin: timesheets",
        "description": "The lengths of timesheets, and the day before which entries are locked. For admins.",
    },
    {"name": "admin: audit", "description": "The audit log. For admins."},
    {"name": "health", "description": "Health checks and metrics. For operators."},
]
PROBLEM_SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": {
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
            **{
                name: {"type": "string", "format": "date"}
                for name in ("first_day", "last_day", "before_day", "first_free_day")
            },
            "timesheet_status": {"type": "string", "enum": list(TimesheetStatus)},
            "errors": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/FieldError"}},
        },
    },
    "FieldError": {
        "title": "FieldError",
        "type": "object",
        "required": ["loc", "message", "type"],
        "properties": {
            "loc": {
                "type": "array",
                "maxItems": 100,
                "description": "Place of the value in the request.",
                "items": {"$ref": "#/components/schemas/LocationPart"},
            },
            "message": {"type": "string", "maxLength": 2000},
            "type": {"type": "string", "maxLength": 100, "description": "Stable kind of the error."},
        },
    },
    "LocationPart": {
        "title": "LocationPart",
        "anyOf": [
            {"type": "string", "maxLength": 100},
            {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        ],
    },
}
"""Errors as JSON. Each object and union has a name, because generators of clients would invent one."""


def operation_id(route: APIRoute) -> str:
    """Return the endpoint's name, so that a generated client has methods such as `clock_in`.

    FastAPI's default adds the path and the method, as in `clock_in_api_v1_time_entries_clock_in_post`.
    """
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Make the app serve this document. It is built at the first request and cached."""

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            options: dict[str, Any] = {
                "title": app.title,
                "version": __version__,
                "description": DESCRIPTION,
                "contact": {"name": "The operator of this service"},
                "license_info": {"name": "MIT License", "identifier": "MIT"},
            }
            # A copy, because FastAPI puts parts of the routers' arguments into the document.
            document = deepcopy(get_openapi(**options, routes=app.routes, tags=TAGS))
            schemas = document["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    complete_parameters(operation)
                    add_security(operation)
                    use_shared_responses(path, operation)
                    complete_response(operation)
                    add_headers(operation)
                    _add_body_example(operation, schemas)
            schemas |= deepcopy(PROBLEM_SCHEMAS)
            complete_schemas(schemas)
            document["components"]["headers"] = HEADERS
            document["components"]["responses"] = responses = shared_responses()
            add_shared_headers(responses)
            # The password form last, because Swagger UI focuses the last scheme.
            schemes = SECURITY_SCHEMES | document["components"]["securitySchemes"]
            document["components"]["securitySchemes"] = schemes
            app.openapi_schema = document_below("", document)
        return app.openapi_schema

    app.openapi = build_document  # type: ignore[method-assign]


def _add_body_example(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Build the example of a body from the examples of its fields. (A file has its own.)"""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in media:
            continue
        if "anyOf" in media["schema"]:  # the body may be left out, but it is never null
            media["schema"] = media["schema"]["anyOf"][0]
        fields = schemas[media["schema"]["$ref"].rpartition("/")[2]]["properties"]
        media["example"] = {name: _example(field) for name, field in fields.items()}


def _example(field: dict[str, Any]) -> Any:
    variants = field.get("anyOf", [field])  # for a nullable field, the other variant has the example
    return next(variant["examples"][0] for variant in variants if "examples" in variant)
