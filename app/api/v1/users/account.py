"""The caller's account."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.responses import StreamingResponse

from app.api.dependencies.authentication import UserTransactionRunner, require_user, require_user_allow_pending
from app.api.dependencies.parameters import Now
from app.api.dependencies.streaming import stream_response
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, EXPORT_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.users.personal_data import PersonalData
from app.schemas.users.user import AccountRead, AccountUpdate
from app.services.period_locks import TimesheetLocked
from app.services.users import account, personal_data

router = APIRouter(prefix="/auth", tags=["auth"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user)]


@router.get("/me", summary="Get my account", responses=error_responses(*AUTH_ERRORS))
async def get_my_account(
    tx: Annotated[UserTransactionRunner, Security(require_user_allow_pending, scopes=list(TokenScope))],
) -> AccountRead:
    """Your account: name, role, manager, time zone."""
    return AccountRead.model_validate(await tx.read(account.get_me))


@router.patch("/me", summary="Update my account", responses=error_responses(*AUTH_ERRORS, TimesheetLocked))
async def update_my_account(body: AccountUpdate, tx: UserTransaction, now: Now) -> AccountRead:
    """Change your names or your time zone. A new time zone applies to future entries. Existing entries keep theirs."""
    return AccountRead.model_validate(await tx.write(account.change_me, body, at=now))


@router.get(
    "/me/export",
    summary="Export my data",
    response_class=StreamingResponse,
    responses=error_responses(*AUTH_ERRORS, *EXPORT_ERRORS)
    | {200: {"description": "One JSON object, streamed.", "model": PersonalData}},
)
async def export_my_data(tx: UserTransaction, now: Now) -> StreamingResponse:
    """All data stored about you: account, project memberships, entries, audit events, stored responses, login sessions,
    login addresses and API tokens."""
    return await stream_response(
        tx,
        lambda session, actor: personal_data.record_export(session, actor, at=now),
        lambda session, actor, out: personal_data.write_json(session, actor, out, at=now),
        media_type="application/json",
        file_name="my_data.json",
    )
