"""The second factor: one's own, and an admin's way out for who lost theirs."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import (
    AdminInPerson,
    ClaimsTransactions,
    UserTransactions,
    as_enrolling_user,
    with_claims,
)
from app.api.dependencies.parameters import ClientDep, Now, PathId, RuntimeDep
from app.api.http.problems import raises
from app.api.v1.shared_errors import PASSWORD_AGAIN, SIGNED_IN, WITH_ROLE
from app.core.security.passwords import TooManyLogins
from app.schemas.auth.second_factor import (
    CodeSent,
    EnrolmentRead,
    RecoveryCodes,
    SecondFactorRead,
    SecondFactorRemoval,
)
from app.services.access.errors import UserNotFound
from app.services.auth import second_factor
from app.services.auth.errors import (
    CodeWrong,
    NoSecondFactor,
    NotEnrolling,
    OwnAccount,
    SecondFactorExists,
    SecondFactorUnreadable,
)

router = APIRouter(prefix="/auth/totp", tags=["auth"])
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"])
User = Annotated[UserTransactions, Security(as_enrolling_user)]


@router.get("", summary="My second factor", responses=raises(*SIGNED_IN))
async def read_second_factor(tx: User) -> SecondFactorRead:
    """Since when you have one, and how many recovery codes are left."""
    return await tx.read(second_factor.status)


@router.post("", summary="Begin a second factor", responses=raises(*SIGNED_IN, SecondFactorExists))
async def begin_second_factor(tx: User, now: Now) -> EnrolmentRead:
    """A secret for your authenticator, shown this once. It counts from `POST /auth/totp/confirm` on."""
    return await tx.write(second_factor.begin, at=now)


@router.post(
    "/confirm",
    summary="Confirm the second factor",
    responses=raises(*SIGNED_IN, SecondFactorExists, NotEnrolling, CodeWrong, SecondFactorUnreadable),
)
async def confirm_second_factor(body: CodeSent, tx: User, now: Now) -> RecoveryCodes:
    """From now on a login needs a code. Keep the recovery codes: each works once when the phone is gone."""
    return await tx.write(second_factor.confirm, body.code, at=now)


@router.delete(
    "",
    summary="Remove my second factor",
    status_code=204,
    responses=raises(*SIGNED_IN, *PASSWORD_AGAIN, NoSecondFactor, CodeWrong, TooManyLogins, SecondFactorUnreadable),
)
async def remove_second_factor(
    body: SecondFactorRemoval,
    tx: Annotated[ClaimsTransactions, Security(with_claims)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
) -> None:
    """With your password, and a code or a recovery code."""
    await second_factor.remove_second_factor(tx, runtime.hasher, body, client, at=now)


@admin_router.delete(
    "/{user_id}/totp",
    summary="Take a person's second factor away",
    status_code=204,
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, NoSecondFactor),
)
async def reset_second_factor(user_id: PathId, tx: AdminInPerson, now: Now) -> None:
    """For who lost phone and recovery codes: make sure that it is them who ask."""
    await tx.write(second_factor.reset, user_id, at=now)
