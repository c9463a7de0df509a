"""The second factor: one's own, and an admin's way out for who lost theirs."""

from fastapi import APIRouter

from app.api.dependencies.parameters import (
    Admin,
    ClaimsDep,
    ClientDep,
    CurrentUser,
    Now,
    PathId,
    RuntimeDep,
    SessionDep,
    TransactionsDep,
)
from app.api.dependencies.transactions import TransactionRoute
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
from app.services.auth import passwords, second_factor
from app.services.auth.errors import (
    CodeWrong,
    NoSecondFactor,
    NotEnrolling,
    OwnAccount,
    SecondFactorExists,
    SecondFactorUnreadable,
)

router = APIRouter(prefix="/auth/totp", tags=["auth"], route_class=TransactionRoute)
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"], route_class=TransactionRoute)


@router.get("", summary="My second factor", responses=raises(*SIGNED_IN))
def read_second_factor(session: SessionDep, actor: CurrentUser) -> SecondFactorRead:
    """Since when you have one, and how many recovery codes are left."""
    return second_factor.status(session, actor)


@router.post("", summary="Begin a second factor", responses=raises(*SIGNED_IN, SecondFactorExists))
def begin_second_factor(session: SessionDep, actor: CurrentUser, now: Now) -> EnrolmentRead:
    """A secret for your authenticator, shown this once. It counts from `POST /auth/totp/confirm` on."""
    return second_factor.begin(session, actor, at=now)


@router.post(
    "/confirm",
    summary="Confirm the second factor",
    responses=raises(*SIGNED_IN, SecondFactorExists, NotEnrolling, CodeWrong, SecondFactorUnreadable),
)
def confirm_second_factor(body: CodeSent, session: SessionDep, actor: CurrentUser, now: Now) -> RecoveryCodes:
    """From now on a login needs a code. Keep the recovery codes: each works once when the phone is gone."""
    return second_factor.confirm(session, actor, body.code, at=now)


@router.delete(
    "",
    summary="Remove my second factor",
    status_code=204,
    responses=raises(*SIGNED_IN, *PASSWORD_AGAIN, NoSecondFactor, CodeWrong, TooManyLogins, SecondFactorUnreadable),
)
async def remove_second_factor(
    body: SecondFactorRemoval,
    claims: ClaimsDep,
    client: ClientDep,
    runtime: RuntimeDep,
    transactions: TransactionsDep,
    now: Now,
) -> None:
    """With your password, and a code or a recovery code."""
    asked = await transactions.read(lambda session: passwords.holder(session, claims))
    matches = await runtime.hasher.verify(body.password, asked.password_hash)
    await transactions.write(
        lambda session: second_factor.remove(session, claims, asked, client, body.code, matches=matches, at=now)
    )


@admin_router.delete(
    "/{user_id}/totp",
    summary="Take a person's second factor away",
    status_code=204,
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, NoSecondFactor),
)
def reset_second_factor(user_id: PathId, session: SessionDep, actor: Admin, now: Now) -> None:
    """For who lost phone and recovery codes: make sure that it is them who ask."""
    second_factor.reset(session, actor, user_id, at=now)
