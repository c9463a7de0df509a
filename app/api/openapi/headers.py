"""The response headers of the OpenAPI document."""

from typing import Any

from app.schemas.types import MAX_ENTRY_ID

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
    "X-Needs-Review": {
        "description": "Number of entries in the file that need review.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_ENTRY_ID},
    },
    "X-Not-Approved": {
        "description": "Number of users in the scope who have entries in these days that are in no approved timesheet.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    },
    "X-Cut-Timesheets": {
        "description": "Number of approved timesheets in the scope that are only partly in these days, without a row.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    },
    "ETag": {
        "description": "Version of the entry, for If-Match.",
        "required": True,
        "schema": {"type": "string", "maxLength": 16},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
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
        "schema": {"type": "string", "const": "true"},
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
HEADERS_BY_PARAMETER = {
    "skip": ("X-Total-Count", "Link"),
    "cursor": ("Link",),
    "start_date": ("X-As-Of",),
    "month": ("X-As-Of",),
    "since": ("X-As-Of",),
    "include_open": ("X-Not-Approved", "X-Cut-Timesheets"),
    "columns": ("X-Needs-Review",),
    "idempotency-key": ("Idempotent-Replayed",),
}
HEADERS_BY_TAG = {"reports": ("X-As-Of",)}
HEADER_BY_SCHEMA = dict.fromkeys(
    [
        "TimeEntryRead",
        "TimeEntryWithProject",
        "TimeEntryWithActions",
        "TimesheetRead",
        "TimesheetDetail",
        "LockDateRead",
    ],
    "ETag",
)
SHARED_RESPONSE_HEADERS = {
    "RequestError": ("WWW-Authenticate", "Retry-After", *RATE_LIMIT_HEADERS),
    "AnonymousRequestError": ("Retry-After",),
    "ServerError": ("Retry-After",),
}
"""Headers of the responses that all operations share. Each one occurs with some of their statuses only."""


def add_headers(operation: dict[str, Any]) -> None:
    """Add the response headers, which depend on parameters, tag, status and schema."""
    parameter_names = [parameter["name"] for parameter in operation.get("parameters", [])]
    success_headers = [header for name in parameter_names for header in HEADERS_BY_PARAMETER.get(name, ())]
    success_headers += [header for tag in operation["tags"] for header in HEADERS_BY_TAG.get(tag, ())]
    if operation["security"]:
        success_headers += RATE_LIMIT_HEADERS
    for status, response in operation["responses"].items():
        if "$ref" in response:
            continue
        header_names = list(HEADERS_BY_STATUS.get(status, ())) + (success_headers if status < "300" else [])
        schema = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
        header_names = header_names + [
            HEADER_BY_SCHEMA[name] for name in [schema.rpartition("/")[2]] if name in HEADER_BY_SCHEMA
        ]
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *header_names]
        }


def add_shared_headers(responses: dict[str, Any]) -> None:
    """Add the headers of the responses that all operations share."""
    for name, response in responses.items():
        optional = {header: HEADERS[header] | {"required": False} for header in SHARED_RESPONSE_HEADERS[name]}
        response["headers"] = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}, **optional}
