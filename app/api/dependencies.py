"""What endpoints ask for, named as people and things."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Path, Query, Request, Response

from app.api.transactions import Transactions, claims_of, runtime_of
from app.core.clock import utc_now
from app.core.db import Session
from app.core.runtime import Runtime
from app.core.tokens import Claims
from app.models.user import Role
from app.schemas.types import MAX_ID, Day, TimeZoneName
from app.services.identity import Actor, authenticate, require_role
from app.services.periods import Period

MAX_PAGE = 1000


class _TheSession:
    needs_claims = False

    def provide(self, session: Session, claims: Claims | None) -> Session:
        return session


class _TheClaims:
    needs_claims = True

    def provide(self, session: Session, claims: Claims | None) -> Claims | None:
        return claims


@dataclass(frozen=True)
class _Caller:
    """The person who asks, as the database knows them in this transaction, if they have one of the roles."""

    roles: tuple[Role, ...]
    needs_claims = True

    def provide(self, session: Session, claims: Claims | None) -> Actor:
        assert claims is not None
        actor = authenticate(session, claims)
        require_role(actor, *self.roles)
        return actor


async def _now() -> datetime:
    return utc_now()


async def _period(
    start_date: Annotated[Day, Query(description="First day of the period.")],
    end_date: Annotated[Day, Query(description="Last day of the period, included.")],
    tz: Annotated[
        TimeZoneName | None, Query(description="Days of this zone for all; else each entry's own zone.")
    ] = None,
) -> Period:
    return Period(start_date, end_date, tz)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list."""

    skip: int
    limit: int
    request: Request

    def describe(self, response: Response, total: int) -> None:
        """Say how many there are in all, and where the next page is."""
        response.headers["X-Total-Count"] = str(total)
        if self.skip + self.limit < total:
            query: dict[str, Any] = dict(self.request.query_params)
            query |= {"skip": self.skip + self.limit, "limit": self.limit}
            response.headers["Link"] = f'<{self.request.url.path}?{urlencode(query)}>; rel="next"'


async def _page(
    request: Request,
    skip: Annotated[int, Query(ge=0, le=MAX_ID, description="How many to leave out.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many to answer.")] = 100,
) -> Page:
    return Page(skip, limit, request)


async def _transactions(request: Request) -> Transactions:
    return Transactions(request)


async def _runtime(request: Request) -> Runtime:
    return runtime_of(request)


def as_of(response: Response, at: datetime) -> None:
    """Say when the hours were computed: open entries are shown but not counted."""
    response.headers["X-As-Of"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


SessionDep = Annotated[Session, _TheSession()]
Caller = Annotated[Claims, _TheClaims()]
CurrentUser = Annotated[Actor, _Caller(tuple(Role))]
Manager = Annotated[Actor, _Caller((Role.manager, Role.admin))]
Admin = Annotated[Actor, _Caller((Role.admin,))]

Now = Annotated[datetime, Depends(_now)]
DateRange = Annotated[Period, Depends(_period)]
PageDep = Annotated[Page, Depends(_page)]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
TransactionsDep = Annotated[Transactions, Depends(_transactions)]
RuntimeDep = Annotated[Runtime, Depends(_runtime)]
ClaimsDep = Annotated[Claims, Depends(claims_of)]
