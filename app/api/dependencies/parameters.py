"""What endpoints ask for, named as people and things."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Header, Path, Query, Request, Response

from app.api.dependencies.transactions import RequestTransactionRunner, get_runtime
from app.api.http.problems import etag
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
_ETAGS = re.compile(r'(?<!W/)"([0-9]{1,10})"')
_Entry = TypeVar("_Entry", bound=TimeEntryRead | None)


async def _get_now() -> datetime:
    return utc_now()


async def _get_period(
    start_date: Annotated[Day, Query(description="First day of the period.")],
    end_date: Annotated[Day, Query(description="Last day of the period, included.")],
    time_zone: Annotated[
        TimeZoneName | None, Query(description="Days of this zone for all; else each entry's own zone.")
    ] = None,
) -> Period:
    return Period(start_date, end_date, time_zone)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list."""

    skip: int
    limit: int
    request: Request

    def set_headers(self, response: Response, total: int) -> None:
        """Say how many there are in all, and where the next page is."""
        response.headers["X-Total-Count"] = str(total)
        if self.skip + self.limit < total:
            query: dict[str, Any] = dict(self.request.query_params)
            query |= {"skip": self.skip + self.limit, "limit": self.limit}
            response.headers["Link"] = f'<{self.request.url.path}?{urlencode(query)}>; rel="next"'


async def _get_page(
    request: Request,
    skip: Annotated[int, Query(ge=0, le=MAX_ID, description="How many to leave out.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="How many to answer.")] = 100,
) -> Page:
    return Page(skip, limit, request)


@dataclass(frozen=True, slots=True)
class CursorPage:
    """A stretch of a list that goes on behind a cursor."""

    cursor: str | None
    limit: int
    request: Request

    def set_headers(self, response: Response, next_cursor: str | None) -> None:
        """Say where the next stretch is."""
        if next_cursor is not None:
            query: dict[str, Any] = dict(self.request.query_params) | {"cursor": next_cursor, "limit": self.limit}
            response.headers["Link"] = f'<{self.request.url.path}?{urlencode(query)}>; rel="next"'


async def _get_cursor_page(
    request: Request,
    cursor: Annotated[
        str | None,
        Query(min_length=1, max_length=200, pattern="^[A-Za-z0-9_-]+$", description="From the Link header."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="How many to answer.")] = 100,
) -> CursorPage:
    return CursorPage(cursor, limit, request)


async def _get_optional_period(
    start_date: Annotated[Day | None, Query(description="First day; open if left out.")] = None,
    end_date: Annotated[Day | None, Query(description="Last day, included; open if left out.")] = None,
    time_zone: Annotated[TimeZoneName | None, Query(description="Days of this zone.")] = None,
) -> Period | None:
    if start_date is None and end_date is None:
        return None
    return Period(start_date or FIRST_DAY, end_date or LAST_DAY, time_zone)


async def _get_versions(
    if_match: Annotated[
        str | None,
        Header(
            max_length=200,
            description="The ETag of what you read: the change is refused if it was changed since.",
            examples=['"1"'],
        ),
    ] = None,
) -> frozenset[int] | None:
    """The versions that If-Match names. What is no tag of ours, or a weak one, matches none (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(int(version) for version in _ETAGS.findall(if_match))


async def _get_transaction_runner(request: Request) -> RequestTransactionRunner:
    return RequestTransactionRunner(request)


async def _get_runtime(request: Request) -> Runtime:
    return get_runtime(request)


def client_address(request: Request) -> str:
    """The IP address of whoever calls, behind TRUSTED_PROXIES too; "unknown" where there is none, as on a UNIX socket.

    What proxies forward is text: only an address gets through.
    """
    return normalize_address(request.client.host if request.client else "")


async def _get_client(request: Request) -> Client:
    """From where somebody calls. The device is what it calls itself, so it is shown and never trusted."""
    device = _UNPRINTABLE.sub("?", request.headers.get("user-agent", ""))
    return Client(address=client_address(request), device=device[:MAX_DEVICE_LENGTH])


def with_etag(response: Response, entry: _Entry) -> _Entry:
    """The entry, with the entity tag on the answer by which If-Match knows it again."""
    if entry is not None:
        response.headers["ETag"] = etag(entry.version)
    return entry


def entry_response(entry: TimeEntryRead) -> Response:
    """The entry as it goes out, with its entity tag. (Given to FastAPI as it is, it would be judged once more.)"""
    return Response(entry.model_dump_json(), headers={"ETag": etag(entry.version)}, media_type="application/json")


def set_as_of(response: Response, at: datetime) -> None:
    """Say when it was computed: hours that run are shown but not counted."""
    response.headers["X-As-Of"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Now = Annotated[datetime, Depends(_get_now)]
DateRange = Annotated[Period, Depends(_get_period)]
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
        description="New for each request; one that is sent again within 24 hours is answered again, not done again.",
        examples=["2f1c9a34-0b6e-4f2e-9d0a-6a8f3f1f7c11"],
    ),
]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
PathEntryId = Annotated[int, Path(ge=1, le=MAX_ENTRY_ID)]
AnonymousTransaction = Annotated[RequestTransactionRunner, Depends(_get_transaction_runner)]
RuntimeDep = Annotated[Runtime, Depends(_get_runtime)]
ClientDep = Annotated[Client, Depends(_get_client)]
