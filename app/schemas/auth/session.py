"""Logging in, staying logged in, and the sessions that come of it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.types import Id, RequestModel, ResponseModel, UtcInstant

RefreshTokenText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        description="Good for one use; the answer brings the next.",
        examples=["ettr_AAAAAQAAAAAAAAABq0y..."],
    ),
]


class Token(ResponseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOi...",
                    "token_type": "bearer",
                    "expires_in": 1800,
                    "refresh_token": "ettr_AAAAAQAAAAAAAAABq0y...",
                }
            ]
        }
    )

    access_token: Annotated[str, Field(max_length=2048)]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - no secret
    expires_in: Annotated[int, Field(ge=1, le=86_400, description="Seconds until the access token ends.")]
    refresh_token: RefreshTokenText


class TokenRefresh(RequestModel):
    refresh_token: RefreshTokenText


class SessionRead(ResponseModel):
    id: Id
    device: Annotated[str, Field(max_length=200, description="As it calls itself.", examples=["Mozilla/5.0 ..."])]
    address: Annotated[str, Field(max_length=45, examples=["203.0.113.7"])]
    created_at: UtcInstant
    last_used_at: Annotated[UtcInstant, Field(description="To within five minutes.")]
    expires_at: UtcInstant
    current: Annotated[bool, Field(description="Whether this request belongs to it.", examples=[True])] = False
