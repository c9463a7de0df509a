"""Login, tokens and login sessions."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.auth.second_factor import OneTimeCode
from app.schemas.types import PLAIN_TEXT, Id, RequestModel, ResponseModel, UtcInstant

RefreshTokenText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        description="Works once. The response to a refresh has the next one.",
        examples=["ettr_AAAAAQAAAAAAAAABq0y..."],
    ),
]


class LoginForm(BaseModel):
    """The password form of OAuth 2.0 (RFC 6749, section 4.3.2). Other fields of it, such as `scope`, are ignored."""

    username: Annotated[
        str,
        Field(min_length=1, max_length=254, description="Your e-mail address.", examples=["admin@example.com"]),
        PLAIN_TEXT,
    ]
    password: Annotated[
        str,
        Field(min_length=1, max_length=512, examples=["adminpassword"], json_schema_extra={"format": "password"}),
        PLAIN_TEXT,
    ]
    otp: Annotated[
        OneTimeCode | None, Field(description="A one-time code or a recovery code, if you have a second factor.")
    ] = None


class PageToken(ResponseModel):
    """The access token of the page. Its refresh token is in a cookie, which no script can read."""

    access_token: Annotated[str, Field(max_length=2048)]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - no secret
    expires_in: Annotated[int, Field(ge=1, le=86_400, description="Seconds until the access token expires.")]


class Token(PageToken):
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

    refresh_token: RefreshTokenText


class TokenRefresh(RequestModel):
    refresh_token: RefreshTokenText


class SessionRead(ResponseModel):
    id: Id
    device: Annotated[
        str, Field(max_length=200, description="The device's User-Agent header.", examples=["Mozilla/5.0 ..."])
    ]
    address: Annotated[str, Field(max_length=45, examples=["203.0.113.7"])]
    created_at: UtcInstant
    last_used_at: Annotated[UtcInstant, Field(description="Accurate to five minutes.")]
    expires_at: UtcInstant
    current: Annotated[bool, Field(description="True for the login session of this request.", examples=[True])] = False
