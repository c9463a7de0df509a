"""The error responses of the OpenAPI document: each operation's own, and those that all operations share.

The shared ones are described once, under `components/responses`. Each operation refers to them as `4XX` and `5XX`.
"""

import re
from collections import defaultdict
from typing import Any

from app.api.http.problems import (
    MEDIA_TYPE,
    BodyTooLarge,
    BodyTooSlow,
    FormRequired,
    HostNotServed,
    InternalError,
    JsonRequired,
    UnsupportedContentEncoding,
    ValidationFailed,
    status_of,
)
from app.api.openapi.problem_examples import example_problem
from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.errors import DomainError
from app.core.security.access_tokens import InvalidToken
from app.core.server.rate_limit import TooManyChanges, TooManyRequests
from app.services.access.errors import PasswordChangeRequired, ScopeRequired, SecondFactorRequired

Response = dict[str, Any]
SERVER_ERRORS = (InternalError, ServiceBusy, DatabaseUnavailable)
REQUEST_ERRORS = (
    BodyTooSlow,
    BodyTooLarge,
    UnsupportedContentEncoding,
    JsonRequired,
    FormRequired,
    HostNotServed,
    ValidationFailed,
)
CALLER_ERRORS = (
    InvalidToken,
    ScopeRequired,
    PasswordChangeRequired,
    SecondFactorRequired,
    TooManyRequests,
    TooManyChanges,
)
RESPONSES = "#/components/responses/"
_SHARED = {
    "RequestError": (*REQUEST_ERRORS, *CALLER_ERRORS),
    "AnonymousRequestError": REQUEST_ERRORS,
    "ServerError": SERVER_ERRORS,
}


def error_responses(*error_types: type[DomainError]) -> dict[int | str, Response]:
    """Return the OpenAPI responses for these errors by status, with the code and an example of each error."""
    types_by_status: dict[int, list[type[DomainError]]] = defaultdict(list)
    for error_type in error_types:
        types_by_status[status_of(error_type)].append(error_type)
    return {status: _response(types) for status, types in types_by_status.items()}


def shared_responses() -> dict[str, Response]:
    """Return the responses that all operations share, by their name in the document."""
    return {
        name: _response(error_types)
        | {"description": "Any operation: " + ", ".join(f"`{error_type.code}`" for error_type in error_types)}
        for name, error_types in _SHARED.items()
    }


def use_shared_responses(path: str, operation: dict[str, Any]) -> None:
    """Replace the errors that all operations share by references, and complete the examples of the others."""
    shared = {"4XX": "RequestError" if operation["security"] else "AnonymousRequestError", "5XX": "ServerError"}
    shared_codes = {error_type.code for name in shared.values() for error_type in _SHARED[name]}
    responses = operation["responses"]
    for status, response in list(responses.items()):
        examples = response.get("content", {}).get(MEDIA_TYPE, {}).get("examples")
        if examples is None:
            continue
        for code in shared_codes & examples.keys():
            del examples[code]
        for example in examples.values():
            example["value"] |= {"instance": re.sub(r"{\w+}", "1", path)}
        response["description"] = _describe(examples)
        if not examples:
            del responses[status]
    references = {status: {"$ref": f"{RESPONSES}{name}"} for status, name in shared.items()}
    operation["responses"] = dict(sorted((responses | references).items()))


def _response(error_types: tuple[type[DomainError], ...] | list[type[DomainError]]) -> Response:
    examples = {
        error_type.code: {
            "summary": error_type.title,
            "value": example_problem(error_type, status_of(error_type)),
        }
        for error_type in error_types
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _describe(examples), "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}}}


def _describe(examples: dict[str, Any]) -> str:
    return "; ".join(f"{example['summary']} (`{code}`)" for code, example in examples.items())
