"""Passwords as they are sent, and links to set one."""

from typing import Annotated

from pydantic import Field, StrictBool

from app.schemas.types import PLAIN_TEXT, NewPassword, RequestModel, ResponseModel, UtcInstant

CurrentPassword = Annotated[
    str,
    Field(
        max_length=512,
        description="Your present one.",
        examples=["adminpassword"],
        json_schema_extra={"format": "password"},
    ),
    PLAIN_TEXT,
]
MustChangePassword = Annotated[
    Annotated[StrictBool, Field(examples=[False])] | None,
    Field(description="Whether they must change it before anything else; REQUIRE_PASSWORD_CHANGE if left out."),
]


class PasswordSet(RequestModel):
    password: NewPassword
    must_change_password: MustChangePassword = None


class PasswordChange(RequestModel):
    current_password: CurrentPassword
    new_password: NewPassword


class PasswordSetByLink(RequestModel):
    token: Annotated[
        str,
        Field(min_length=1, max_length=200, pattern="^[!-~]+$", description="From the link.", examples=["q0yv3k..."]),
    ]
    new_password: NewPassword


class PasswordLinkRead(ResponseModel):
    expires_at: UtcInstant
    sent: Annotated[bool, Field(description="Whether it went out by mail; then it isn't shown here.", examples=[False])]
    token: Annotated[str | None, Field(max_length=200, description="For POST /auth/password/set.")] = None
    link: Annotated[str | None, Field(max_length=1000, description="The page that PASSWORD_LINK_URL names.")] = None
