"""The error responses of an operation, for the OpenAPI document."""

from collections import defaultdict
from typing import Any

from app.api.http.problems import MEDIA_TYPE, status_of
from app.core.errors import DomainError


def error_responses(*error_types: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these errors by status, with the code and an example of each error."""
    types_by_status: dict[int, list[type[DomainError]]] = defaultdict(list)
    for error_type in error_types:
        types_by_status[status_of(error_type)].append(error_type)
    return {
        status: {
            "description": "; ".join(f"{error_type.title} (`{error_type.code}`)" for error_type in types),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {error_type.code: {"value": _example_problem(error_type)} for error_type in types},
                }
            },
        }
        for status, types in types_by_status.items()
    }


def _example_problem(error_type: type[DomainError]) -> dict[str, Any]:
    return {
        "type": f"urn:employee-time-tracking:{error_type.code}",
        "title": error_type.title,
        "status": status_of(error_type),
        "detail": "What happened, and what to do next.",
        "code": error_type.code,
        "instance": "/api/v1/...",
        "request_id": "6f1c0f6e2b7f4d6a",
    }
