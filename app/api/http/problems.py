"""Error responses as application/problem+json (RFC 9457), and the table of their status codes."""

import json
import traceback
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from psycopg2 import Error as PostgreSQLError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from app.api.http.forwarded import path_prefix
from app.api.http.response_headers import etag, rate_limit_headers
from app.core import errors
from app.core.database.postgresql.privileges import OPERATOR_ERRORS
from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.errors import DomainError
from app.core.observability.logging import first_line
from app.core.observability.metrics import PROBLEMS
from app.core.server.rate_limit import RemainingQuota
from app.services.constraints import error_from_constraint

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100
FORM_MEDIA_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

STATUS: dict[type[DomainError], int] = {
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.ContentTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.Misdirected: 421,
    errors.Invalid: 422,
    errors.RateLimited: 429,
    errors.InternalFailure: 500,
    errors.Unavailable: 503,
}


class RouteNotFound(errors.NotFound):
    code = "route_not_found"
    title = "Endpoint not found"


class WrongMethod(errors.MethodNotAllowed):
    code = "method_not_allowed"
    title = "Method not allowed"


class ValidationFailed(errors.Invalid):
    code = "validation_failed"
    title = "Validation failed"


class BodyTooLarge(errors.ContentTooLarge):
    code = "body_too_large"
    title = "Request body too large"


class BodyTooSlow(errors.RequestTimeout):
    code = "request_timeout"
    title = "Request timeout"


class HostNotServed(errors.Misdirected):
    code = "host_not_allowed"
    title = "Host not allowed"


class UnsupportedContentEncoding(errors.UnsupportedMediaType):
    code = "unsupported_content_encoding"
    title = "Unsupported content encoding"


class JsonRequired(errors.UnsupportedMediaType):
    code = "json_required"
    title = "JSON required"


class FormRequired(errors.UnsupportedMediaType):
    code = "form_required"
    title = "Form required"


class CsvRequired(errors.UnsupportedMediaType):
    code = "csv_required"
    title = "CSV required"


class InternalError(errors.InternalFailure):
    code = "internal_error"
    title = "Internal server error"


def status_of(error_type: type[DomainError]) -> int:
    """Return the status code of an error, which its base class in app.core.errors decides."""
    family = next(parent for parent in error_type.__mro__ if parent.__module__ == errors.__name__)
    return STATUS[family]


def problem_response(
    error: DomainError, scope: Mapping[str, Any], *, invalid: list[dict[str, Any]] | None = None
) -> Response:
    """Return the error response. It is ASCII only, because text from clients may contain lone surrogates, which UTF-8
    can't encode."""
    status = status_of(type(error))
    PROBLEMS.labels(status, error.code).inc()
    body = {
        "type": f"urn:employee-time-tracking:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "instance": f"{path_prefix(scope)}{scope['path']}"[:2000],
        "request_id": _request_id(scope),
        **error.extensions,
    }
    if invalid is not None:
        body["errors"] = invalid
    return Response(json.dumps(body), status_code=status, headers=_error_headers(error), media_type=MEDIA_TYPE)


def exception_response(error: Exception, scope: Mapping[str, Any]) -> Response:
    """Return the error response for any exception. An unexpected one is logged, and its text is not returned."""
    match error:
        case DomainError():
            return problem_response(error, scope)
        case IntegrityError() if domain_error := error_from_constraint(error):
            return problem_response(domain_error, scope)
        case PoolTimeout():
            return problem_response(ServiceBusy("The service is busy. Try again in a second."), scope)
        case DBAPIError() if not isinstance(error.orig, PostgreSQLError) and _is_sqlite_unavailable(error):
            return _database_unavailable(error, scope)
        case DBAPIError() if _is_postgresql_unavailable(error):
            return _database_unavailable(error, scope)
        case _:
            structlog.get_logger().error("unhandled_exception", request_id=_request_id(scope), exc_info=error)
            detail = "An unexpected error occurred. Try again. If it persists, send the operator the request_id."
            extensions = {"traceback": traceback.format_exception(error)} if scope["app"].debug else {}
            return problem_response(InternalError(detail, **extensions), scope)


def register_exception_handlers(app: FastAPI) -> None:
    """Register handlers that turn every exception into an error response."""

    async def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if media_type_error := _media_type_error(error, request):
            return problem_response(media_type_error, request.scope)
        invalid = [
            {
                "loc": [part if isinstance(part, int) else str(part)[:100] for part in each["loc"]],
                "message": _validation_message(each),
                "type": each["type"],
            }
            for each in error.errors()[:MAX_ERRORS]
        ]
        location = ".".join(str(part) for part in invalid[0]["loc"])
        return problem_response(
            ValidationFailed(f"{location}: {invalid[0]['message']}"), request.scope, invalid=invalid
        )

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        # FastAPI wraps an exception that reading the body raises, such as BodyTooLarge, in a 400.
        domain_error = (
            error.__cause__ if isinstance(error.__cause__, DomainError) else _from_http_exception(error, request)
        )
        response = problem_response(domain_error, request.scope)
        if isinstance(domain_error, WrongMethod):
            response.headers["Allow"] = _allowed_methods(request)
        return response

    async def on_exception(request: Request, error: Exception) -> Response:
        return exception_response(error, request.scope)

    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    for error_type in (DomainError, DBAPIError, PoolTimeout):
        app.add_exception_handler(error_type, on_exception)


def _error_headers(error: DomainError) -> dict[str, str]:
    """Return the headers of an error response."""
    match error:
        case errors.NotAuthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case errors.PreconditionFailed():
            return {"ETag": etag(error.version)}
        case errors.RateLimited(policy=policy, retry_after_seconds=seconds):
            return {
                "Retry-After": str(seconds),
                **rate_limit_headers(policy, RemainingQuota(requests=0, seconds=seconds)),
            }
        case errors.RequestTimeout():
            return {"Connection": "close"}
        case errors.Unavailable():
            return {"Retry-After": str(error.retry_after_seconds)}
        case _:
            return {}


def _from_http_exception(error: HTTPException, request: Request) -> DomainError:
    match error.status_code:
        case 404:
            hint = " See /docs for all endpoints." if request.app.openapi_url else ""
            return RouteNotFound(f"No endpoint matches this path.{hint}")
        case 405:
            return WrongMethod("This path does not support this method. Use one from the Allow header.")
        case 400:
            return ValidationFailed("The body can't be parsed. Send it in the format of its Content-Type.")
        case _:
            raise error


def _request_id(scope: Mapping[str, Any]) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def _media_type_error(error: RequestValidationError, request: Request) -> DomainError | None:
    """Return the error if the body was not parsed, because it was sent with another media type, or else None."""
    if isinstance(error.body, bytes):
        return JsonRequired("The Content-Type is not application/json. Send the body as JSON.")
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if isinstance(error.body, FormData) and media_type and media_type not in FORM_MEDIA_TYPES:
        return FormRequired("The Content-Type is not application/x-www-form-urlencoded. Send the fields as a form.")
    return None


def _validation_message(invalid: Mapping[str, Any]) -> str:
    if invalid["type"] == "json_invalid":  # `loc` has the position
        return "The body is not valid JSON at this character. Put names and texts in double quotes."
    return str(invalid["msg"]).removeprefix("Value error, ")[:300]


def _allowed_methods(request: Request) -> str:
    """Return the methods of all routes on the path. (Starlette's own Allow header has only those of the first one.)"""
    routes = (
        route for route in iter_route_contexts(request.app.routes) if route.matches(request.scope)[0] is not Match.NONE
    )
    methods = {method for route in routes for method in route.methods or ()}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _database_unavailable(error: DBAPIError, scope: Mapping[str, Any]) -> Response:
    log, fields = structlog.get_logger(), {"request_id": _request_id(scope), "error": first_line(error.orig)}
    if event := OPERATOR_ERRORS.get(_sqlstate(error) or ""):
        log.error(event, **fields)
    else:
        log.warning("database_error", **fields)
    return problem_response(DatabaseUnavailable("The database is unreachable or overloaded. Try again soon."), scope)


def _is_sqlite_unavailable(error: DBAPIError) -> bool:
    message = str(error.orig)
    return any(
        fragment in message
        for fragment in ("locked", "disk I/O", "disk is full", "unable to open", "readonly", "interrupted", "file was ")
    )


def _is_postgresql_unavailable(error: DBAPIError) -> bool:
    """Return True for errors that a retry may resolve: lost connection, shutdown, insufficient resources, lock or
    statement timeout, deadlock. Also for those that an operator must resolve."""
    if error.connection_invalidated:
        return True
    state = _sqlstate(error)
    if state is None:
        return isinstance(error.orig, PostgreSQLError)
    return state[:2] in {"08", "53", "57", "58", "40"} or state in {"55P03", "25P03"} or state in OPERATOR_ERRORS


def _sqlstate(error: DBAPIError) -> str | None:
    """Return the SQLSTATE of an error that PostgreSQL reported, or None."""
    state: str | None = getattr(error.orig, "pgcode", None)
    return state
