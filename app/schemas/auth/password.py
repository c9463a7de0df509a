"""Passwords and password links."""

from typing import Annotated

from pydantic import Field, StrictBool

from app.schemas.types import PLAIN_TEXT, NewPassword, RequestModel, ResponseModel, UtcInstant

CurrentPassword = Annotated[
    str,
    Field(
        max_length=512,
        description="Your current password.",
        examples=["adminpassword"],
        json_schema_extra={"format": "password"},
    ),
    PLAIN_TEXT,
]
PasswordUnlessRecentLogin = Annotated[
    CurrentPassword | None, Field(description="Your current password. Required 5 minutes after your login.")
]
MustChangePassword = Annotated[
    Annotated[StrictBool, Field(examples=[False])] | None,
    Field(
        description="If true, the user must change the password before they can use the API. "
        "If omitted, the server's setting REQUIRE_PASSWORD_CHANGE."
    ),
]

KeepApiTokens = Annotated[
    StrictBool,
    Field(description="If true, the user's API tokens keep working. By default they are revoked.", examples=[False]),
]


class PasswordSet(RequestModel):
    password: NewPassword
    must_change_password: MustChangePassword = None
    keep_api_tokens: KeepApiTokens = False


class PasswordChange(RequestModel):
    current_password: CurrentPassword
    new_password: NewPassword
    keep_api_tokens: KeepApiTokens = False


class PasswordSetByLink(RequestModel):
    token: Annotated[
        str,
        Field(
            min_length=1, max_length=200, pattern="^[!-~]+$", description="Token from the link.", examples=["q0yv3k..."]
        ),
    ]
    new_password: NewPassword
    keep_api_tokens: KeepApiTokens = False


class PasswordLinkRead(ResponseModel):
    expires_at: UtcInstant
    sent: Annotated[
        bool,
        Field(description="True if the link was e-mailed. Then the response does not contain it.", examples=[False]),
    ]
    token: Annotated[str | None, Field(max_length=200, description="Token for POST /auth/password/set.")] = None
    link: Annotated[
        str | None, Field(max_length=1000, description="PASSWORD_LINK_URL with the token, if it is set.")
    ] = None
