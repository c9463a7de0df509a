"""The second factor: one's own, and an admin's way out for who lost theirs."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import (
    ClaimsTransactionRunner,
    InteractiveAdminTransaction,
    UserTransactionRunner,
    require_claims,
    require_user_allow_enrolment,
)
from app.api.dependencies.parameters import ClientDep, Now, PathId, RuntimeDep
from app.api.http.problems import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PASSWORD_ERRORS, ROLE_ERRORS
from app.core.security.passwords import LoginQueueFull
from app.schemas.auth.second_factor import (
    RecoveryCodes,
    SecondFactorConfirmation,
    SecondFactorEnrolment,
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
UserTransaction = Annotated[UserTransactionRunner, Security(require_user_allow_enrolment)]


@router.get("", summary="My second factor", responses=error_responses(*AUTH_ERRORS))
async def get_my_second_factor(tx: UserTransaction) -> SecondFactorRead:
    """Since when you have one, and how many recovery codes are left."""
    return await tx.read(second_factor.get_status)


@router.post("", summary="Begin a second factor", responses=error_responses(*AUTH_ERRORS, SecondFactorExists))
async def enroll_second_factor(tx: UserTransaction, now: Now) -> SecondFactorEnrolment:
    """A secret for your authenticator, shown this once. It counts from `POST /auth/totp/confirm` on."""
    return await tx.write(second_factor.enroll, at=now)


@router.post(
    "/confirm",
    summary="Confirm the second factor",
    responses=error_responses(*AUTH_ERRORS, SecondFactorExists, NotEnrolling, CodeWrong, SecondFactorUnreadable),
)
async def confirm_second_factor(body: SecondFactorConfirmation, tx: UserTransaction, now: Now) -> RecoveryCodes:
    """From now on a login needs a code. Keep the recovery codes: each works once when the phone is gone."""
    return await tx.write(second_factor.confirm, body.code, at=now)


@router.delete(
    "",
    summary="Remove my second factor",
    status_code=204,
    responses=error_responses(
        *AUTH_ERRORS, *PASSWORD_ERRORS, NoSecondFactor, CodeWrong, LoginQueueFull, SecondFactorUnreadable
    ),
)
async def remove_my_second_factor(
    body: SecondFactorRemoval,
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims)],
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
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, NoSecondFactor),
)
async def reset_user_second_factor(user_id: PathId, tx: InteractiveAdminTransaction, now: Now) -> None:
    """For who lost phone and recovery codes: make sure that it is them who ask."""
    await tx.write(second_factor.reset, user_id, at=now)
