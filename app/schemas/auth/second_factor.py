"""The second factor as it is enrolled, confirmed and removed."""

from typing import Annotated

from pydantic import Field

from app.schemas.auth.password import CurrentPassword
from app.schemas.types import PLAIN_TEXT, RequestModel, ResponseModel, UtcInstant

OneTimeCode = Annotated[str, Field(max_length=40, examples=["492039"]), PLAIN_TEXT]


class SecondFactorEnrolment(ResponseModel):
    secret: Annotated[str, Field(max_length=64, description="For who can't scan.", examples=["JBSWY3DPEHPK3PXP..."])]
    otpauth_uri: Annotated[str, Field(max_length=1000, examples=["otpauth://totp/..."])]
    qr_svg: Annotated[str, Field(max_length=100_000, description="The otpauth URI as an SVG image.")]


class SecondFactorConfirmation(RequestModel):
    code: Annotated[OneTimeCode, Field(description="Six digits of the authenticator.")]


class SecondFactorRemoval(RequestModel):
    password: CurrentPassword
    code: Annotated[OneTimeCode, Field(description="Six digits of the authenticator, or a recovery code.")]


class RecoveryCodes(ResponseModel):
    recovery_codes: Annotated[
        list[Annotated[str, Field(max_length=40)]],
        Field(max_length=10, description="Each works once, in the place of a code. Shown this once."),
    ]


class SecondFactorRead(ResponseModel):
    confirmed_at: Annotated[UtcInstant | None, Field(description="Null where there is no second factor.")]
    recovery_codes_left: Annotated[int, Field(ge=0, le=10, examples=[10])]
