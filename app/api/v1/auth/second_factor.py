"""The caller's second factor (TOTP, RFC 6238), and its reset by admins."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import (
    ClaimsTransactionRunner,
    InteractiveAdminTransaction,
    UserTransactionRunner,
    require_claims,
    require_claims_allow_enrollment,
    require_user_allow_enrollment,
)
from app.api.dependencies.parameters import ClientDep, Now, PathId, RuntimeDep
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PASSWORD_ERRORS, RECENT_LOGIN_ERRORS, ROLE_ERRORS
from app.schemas.auth.second_factor import (
    RecoveryCodes,
    SecondFactorConfirmation,
    SecondFactorEnrollment,
    SecondFactorRead,
    SecondFactorRemoval,
    SecondFactorStart,
)
from app.services.access.errors import UserNotFound
from app.services.auth import second_factor
from app.services.auth.errors import (
    CodeWrong,
    EnrollmentDiscarded,
    NoSecondFactor,
    NotEnrolling,
    OwnAccount,
    SecondFactorExists,
    SecondFactorLocked,
    SecondFactorUnreadable,
)

router = APIRouter(prefix="/auth/totp", tags=["auth"])
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"])
NO_PASSWORD = SecondFactorStart()
"""The body is optional, because earlier clients send none."""
UserTransaction = Annotated[UserTransactionRunner, Security(require_user_allow_enrollment)]


@router.get("", summary="Get my second factor", responses=error_responses(*AUTH_ERRORS))
async def get_my_second_factor(tx: UserTransaction) -> SecondFactorRead:
    """The time at which you confirmed your second factor, the recovery codes left, and the wrong codes so far."""
    return await tx.read(second_factor.get_status)


@router.post(
    "",
    summary="Enroll a second factor",
    responses=error_responses(*AUTH_ERRORS, *RECENT_LOGIN_ERRORS, SecondFactorExists),
)
async def enroll_second_factor(
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims_allow_enrollment)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
    body: SecondFactorStart = NO_PASSWORD,
) -> SecondFactorEnrollment:
    """Create a secret for your authenticator app. It is shown only once.

    Logins require a code after you confirm it with `POST /auth/totp/confirm`. Send `current_password`, unless you
    logged in within 5 minutes.
    """
    return await second_factor.start_enrollment(tx, runtime.hasher, body, client, at=now)


@router.post(
    "/confirm",
    summary="Confirm my second factor",
    responses=error_responses(
        *AUTH_ERRORS, SecondFactorExists, NotEnrolling, CodeWrong, EnrollmentDiscarded, SecondFactorUnreadable
    ),
)
async def confirm_second_factor(body: SecondFactorConfirmation, tx: UserTransaction, now: Now) -> RecoveryCodes:
    """Confirm your second factor with a one-time code. From then on, a login requires a code.

    After 10 wrong codes the secret is discarded. Then begin again.

    Keep the recovery codes. Use each one in place of a one-time code, for example if you lose your phone.
    """
    return await tx.write(second_factor.confirm, body.code, at=now)


@router.delete(
    "",
    summary="Remove my second factor",
    status_code=204,
    responses=error_responses(
        *AUTH_ERRORS,
        *PASSWORD_ERRORS,
        NoSecondFactor,
        CodeWrong,
        SecondFactorLocked,
        SecondFactorUnreadable,
    ),
)
async def remove_my_second_factor(
    body: SecondFactorRemoval,
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
) -> None:
    """Remove your second factor. Send your password, and a one-time code or a recovery code."""
    await second_factor.remove_second_factor(tx, runtime.hasher, body, client, at=now)


@admin_router.delete(
    "/{user_id}/totp",
    summary="Reset a user's second factor",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, NoSecondFactor),
)
async def reset_user_second_factor(user_id: PathId, tx: InteractiveAdminTransaction, now: Now) -> None:
    """Remove the second factor of a user who lost both the authenticator and the recovery codes.

    Verify first that the request comes from the user.
    """
    await tx.write(second_factor.reset, user_id, at=now)
