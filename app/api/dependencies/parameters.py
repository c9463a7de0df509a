"""Parameters that endpoints share: the time, periods, pages, conditional requests, the client."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Header, Path, Query, Request, Response

from app.api.dependencies.transactions import RequestTransactionRunner, get_runtime
from app.api.http.response_headers import etag, external_path
from app.core.pagination import InvalidCursor, PageOfIds, PageRows, decode_cursor, encode_cursor
from app.core.server.ip_addresses import normalize_address
from app.core.server.runtime import Runtime
from app.core.time.clock import utc_now
from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.types import FIRST_DAY, LAST_DAY, MAX_ENTRY_ID, MAX_ID, Day, TimeZoneName
from app.services.auth.login_sessions import Client
from app.services.calendar.periods import Period

MAX_PAGE_SIZE = 1000
MAX_DEVICE_LENGTH = 200
_UNPRINTABLE = re.compile(r"[^ -~]")
_ETAGS = re.compile(r'"([0-9]{1,10})(?:--?[a-z]+)?"')
"""Tags of versions. A proxy that compresses a response may add the name of the compression: "2-gzip"."""
_Entry = TypeVar("_Entry", bound=TimeEntryRead | None)


async def _get_now() -> datetime:
    return utc_now()


async def _get_period(
    start_date: Annotated[Day, Query(description="First day of the period.")],
    end_date: Annotated[Day, Query(description="Last day of the period, inclusive.")],
    time_zone: Annotated[
        TimeZoneName | None,
        Query(description="Time zone of the period's days. If omitted, each entry's own time zone."),
    ] = None,
) -> Period:
    return Period(start_date, end_date, time_zone)


async def _get_days(
    start_date: Annotated[Day, Query(description="First day.")],
    end_date: Annotated[Day, Query(description="Last day, inclusive.")],
) -> Period:
    return Period(start_date, end_date)


async def _get_optional_days(
    start_date: Annotated[Day | None, Query(description="First day. If omitted, there is no first one.")] = None,
    end_date: Annotated[Day | None, Query(description="Last day, inclusive. If omitted, there is no last one.")] = None,
) -> Period:
    return Period(start_date or FIRST_DAY, end_date or LAST_DAY)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list with a total, sorted by id."""

    ids: PageOfIds
    request: Request

    def set_headers(self, response: Response, page: PageRows[Any]) -> None:
        """Set X-Total-Count, and Link if there is a next page. It continues with `skip` if the request skips items."""
        response.headers["X-Total-Count"] = str(page.total)
        if page.last_id is None:
            return
        skip = self.ids.skip
        place = {"skip": skip + self.ids.limit} if skip else {"cursor": encode_cursor(page.last_id)}
        _set_next(self.request, response, {**place, "limit": self.ids.limit})


def _set_next(request: Request, response: Response, changed: dict[str, Any]) -> None:
    """Set Link to the URL of this request with other parameters. `skip` is kept only if it is one of them."""
    params = {name: value for name, value in request.query_params.items() if name != "skip"}
    query = urlencode(params | changed)
    response.headers["Link"] = f'<{external_path(request)}?{query}>; rel="next"'


Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        pattern="^[A-Za-z0-9_-]+$",
        description="Start of the page, from the `Link` header of the previous one.",
        examples=["WzEwMF0"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Maximum number of items to return.")]


async def _get_page(
    request: Request,
    cursor: Cursor = None,
    skip: Annotated[
        int, Query(ge=0, le=MAX_ID, description="Number of items to skip. Prefer `cursor`, which misses no item.")
    ] = 0,
    limit: Limit = 100,
) -> Page:
    if cursor is None:
        return Page(PageOfIds(limit, skip=skip), request)
    if skip:  # 0 is the default, which Swagger UI and generated clients send
        raise InvalidCursor("Send either cursor or skip, but not both.")
    (after,) = decode_cursor(cursor, 1)
    return Page(PageOfIds(limit, after=min(after, MAX_ID)), request)


@dataclass(frozen=True, slots=True)
class CursorPage:
    """One page of a list that continues at a cursor."""

    cursor: str | None
    limit: int
    request: Request

    def set_headers(self, response: Response, next_cursor: str | None) -> None:
        """Set Link if there is a next page."""
        if next_cursor is not None:
            _set_next(self.request, response, {"cursor": next_cursor, "limit": self.limit})


async def _get_cursor_page(request: Request, cursor: Cursor = None, limit: Limit = 100) -> CursorPage:
    return CursorPage(cursor, limit, request)


async def _get_optional_period(
    start_date: Annotated[
        Day | None, Query(description="First day of the period. If omitted, the period has no start.")
    ] = None,
    end_date: Annotated[
        Day | None, Query(description="Last day of the period, inclusive. If omitted, the period has no end.")
    ] = None,
    time_zone: Annotated[
        TimeZoneName | None, Query(description="Time zone of the days: each entry's own, or UTC for audit events.")
    ] = None,
) -> Period | None:
    if start_date is None and end_date is None:
        return None
    return Period(start_date or FIRST_DAY, end_date or LAST_DAY, time_zone)


async def _get_versions(
    if_match: Annotated[
        str | None,
        Header(
            max_length=200,
            description="The ETag that you read. If the entry has changed since, your change is rejected with 412.",
            examples=['"1"'],
        ),
    ] = None,
) -> frozenset[int] | None:
    """Return the versions that If-Match names, or None if any version matches.

    A weak tag counts as the strong one. RFC 9110 (section 13.1.1) says that it matches nothing, but a proxy that
    compresses a response makes its tag weak, or adds the compression to it. A tag in another format matches no version.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(int(version) for version in _ETAGS.findall(if_match))


async def _get_transaction_runner(request: Request) -> RequestTransactionRunner:
    return RequestTransactionRunner(request)


async def _get_runtime(request: Request) -> Runtime:
    return get_runtime(request)


def client_address(request: Request) -> str:
    """Return the client's IP address, also behind TRUSTED_PROXIES, or "unknown" if there is none, as on a UNIX socket.

    A forwarded address is unchecked text, so anything that is not an IP address becomes "unknown" too.
    """
    return normalize_address(request.client.host if request.client else "")


async def _get_client(request: Request) -> Client:
    """Return the client's address and device. The device is the User-Agent header, so it is shown but never trusted."""
    device = _UNPRINTABLE.sub("?", request.headers.get("user-agent", ""))
    return Client(address=client_address(request), device=device[:MAX_DEVICE_LENGTH])


def with_etag(response: Response, entry: _Entry) -> _Entry:
    """Return the entry, and set its ETag header for a later If-Match."""
    if entry is not None:
        response.headers["ETag"] = etag(entry.version)
    return entry


def entry_response(entry: TimeEntryRead) -> Response:
    """Return the response with the entry and its ETag. (FastAPI would validate a returned model a second time.)"""
    return Response(entry.model_dump_json(), headers={"ETag": etag(entry.version)}, media_type="application/json")


def set_as_of(response: Response, at: datetime) -> None:
    """Set X-As-Of, the instant of the computation. Totals do not contain the time of open entries."""
    response.headers["X-As-Of"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Now = Annotated[datetime, Depends(_get_now)]
DateRange = Annotated[Period, Depends(_get_period)]
Days = Annotated[Period, Depends(_get_days)]
OptionalDays = Annotated[Period, Depends(_get_optional_days)]
"""Days without a time zone: periods of timesheets are named by their days, whatever the zone of their user."""
PageDep = Annotated[Page, Depends(_get_page)]
OptionalDateRange = Annotated[Period | None, Depends(_get_optional_period)]
CursorPageDep = Annotated[CursorPage, Depends(_get_cursor_page)]
IfMatch = Annotated[frozenset[int] | None, Depends(_get_versions)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="A new value for each new request, and the same value to retry it. For up to 24 hours, a retry of "
        "a successful request with the same operation, parameters and body returns the stored response. A bulk "
        "request returns its entries as they are now.",
        examples=["2f1c9a34-0b6e-4f2e-9d0a-6a8f3f1f7c11"],
    ),
]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
PathEntryId = Annotated[int, Path(ge=1, le=MAX_ENTRY_ID)]
AnonymousTransaction = Annotated[RequestTransactionRunner, Depends(_get_transaction_runner)]
RuntimeDep = Annotated[Runtime, Depends(_get_runtime)]
ClientDep = Annotated[Client, Depends(_get_client)]
