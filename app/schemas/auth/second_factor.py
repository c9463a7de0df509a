"""Enrollment, confirmation and removal of the second factor."""

from typing import Annotated

from pydantic import Field

from app.schemas.auth.password import CurrentPassword, PasswordUnlessRecentLogin
from app.schemas.types import PLAIN_TEXT, RequestModel, ResponseModel, UtcInstant

OneTimeCode = Annotated[str, Field(max_length=40, examples=["492039"]), PLAIN_TEXT]


class SecondFactorStart(RequestModel):
    current_password: PasswordUnlessRecentLogin = None


class SecondFactorEnrollment(ResponseModel):
    secret: Annotated[
        str, Field(max_length=64, description="To enter by hand, in Base32.", examples=["JBSWY3DPEHPK3PXP..."])
    ]
    otpauth_uri: Annotated[str, Field(max_length=1000, examples=["otpauth://totp/..."])]
    qr_svg: Annotated[str, Field(max_length=100_000, description="QR code of the otpauth URI, as SVG.")]


class SecondFactorConfirmation(RequestModel):
    code: Annotated[OneTimeCode, Field(description="Six digits from the authenticator app.")]


class SecondFactorRemoval(RequestModel):
    password: CurrentPassword
    code: Annotated[OneTimeCode, Field(description="Six digits from the authenticator app, or a recovery code.")]


class RecoveryCodes(ResponseModel):
    recovery_codes: Annotated[
        list[Annotated[str, Field(max_length=40)]],
        Field(max_length=10, description="Use each one in place of a one-time code. Shown only once."),
    ]


class SecondFactorRead(ResponseModel):
    confirmed_at: Annotated[UtcInstant | None, Field(description="Null if you have no second factor.")]
    recovery_codes_left: Annotated[int, Field(ge=0, le=10, examples=[10])]
    wrong_codes: Annotated[
        int,
        Field(
            ge=0,
            le=20,
            examples=[0],
            description="Wrong codes that were sent with your right password. 20 lock it. "
            "Before the confirmation: wrong codes for the enrollment. 10 discard it.",
        ),
    ]
