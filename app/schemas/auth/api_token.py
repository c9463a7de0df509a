"""API tokens."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from app.core.security.access_tokens import TokenScope
from app.schemas.auth.password import PasswordUnlessRecentLogin
from app.schemas.types import Id, InputInstant, LabelText, RequestModel, ResponseModel, UtcInstant


def _require_unique(scopes: list[TokenScope]) -> list[TokenScope]:
    if len(set(scopes)) != len(scopes):
        raise ValueError("A scope occurs twice. Send each scope once.")
    return scopes


def _split_scopes(scopes: object) -> object:
    return scopes.split() if isinstance(scopes, str) else scopes


ApiTokenNameRead = Annotated[str, Field(max_length=100, examples=["Terminal at the entrance"])]
ApiTokenName = Annotated[LabelText, Field(max_length=100, examples=["Terminal at the entrance"])]


class ApiTokenCreate(RequestModel):
    name: ApiTokenName
    scopes: Annotated[
        list[TokenScope],
        Field(
            min_length=1,
            max_length=len(TokenScope),
            examples=[["entries:read", "entries:write"]],
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_require_unique),
    ]
    expires_at: Annotated[InputInstant, Field(examples=["2027-01-01T00:00:00Z"])]
    current_password: PasswordUnlessRecentLogin = None


class ApiTokenRead(ResponseModel):
    id: Id
    user_id: Id
    name: ApiTokenNameRead
    scopes: Annotated[list[TokenScope], BeforeValidator(_split_scopes), Field(examples=[["entries:read"]])]
    created_at: UtcInstant
    expires_at: UtcInstant
    last_used_at: Annotated[UtcInstant | None, Field(description="Accurate to five minutes. Null if never used.")]


class ApiTokenCreated(ApiTokenRead):
    token: Annotated[
        str, Field(max_length=200, description="The API token. Shown only once.", examples=["ett_AAAAAX..."])
    ]
