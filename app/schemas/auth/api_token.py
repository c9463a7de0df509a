"""API tokens as they are asked for and answered."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from app.core.security.access_tokens import TokenScope
from app.schemas.types import Answer, Body, Id, Line, SentTime, UtcTime


def _once_each(scopes: list[TokenScope]) -> list[TokenScope]:
    if len(set(scopes)) != len(scopes):
        raise ValueError("Name each scope once.")
    return scopes


def _listed(scopes: object) -> object:
    return scopes.split() if isinstance(scopes, str) else scopes


ApiTokenName = Annotated[Line, Field(max_length=100, examples=["Terminal at the gate"])]


class ApiTokenCreate(Body):
    name: ApiTokenName
    scopes: Annotated[
        list[TokenScope],
        Field(
            min_length=1,
            max_length=len(TokenScope),
            examples=[["entries:read", "entries:write"]],
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_once_each),
    ]
    expires_at: Annotated[SentTime, Field(examples=["2027-01-01T00:00:00Z"])]


class ApiTokenRead(Answer):
    id: Id
    user_id: Id
    name: ApiTokenName
    scopes: Annotated[list[TokenScope], BeforeValidator(_listed), Field(examples=[["entries:read"]])]
    created_at: UtcTime
    expires_at: UtcTime
    last_used_at: Annotated[UtcTime | None, Field(description="To within five minutes; null if never.")]


class ApiTokenCreated(ApiTokenRead):
    token: Annotated[str, Field(max_length=200, description="Shown this once.", examples=["ett_AAAAAX..."])]
