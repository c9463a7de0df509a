"""The caller's login sessions."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import RevokingTransaction, UserTransactionRunner, require_user
from app.api.dependencies.parameters import Now, PathId
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS
from app.schemas.auth.session import SessionRead
from app.services.auth import login_sessions
from app.services.auth.errors import SessionNotFound

router = APIRouter(prefix="/auth/sessions", tags=["auth"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user)]


@router.get("", summary="List my login sessions", responses=error_responses(*AUTH_ERRORS))
async def list_my_sessions(tx: UserTransaction, now: Now) -> list[SessionRead]:
    """Your login sessions that have not expired, most recently used first."""
    return await tx.read(login_sessions.list_own, at=now)


@router.delete("", summary="End my other login sessions", status_code=204, responses=error_responses(*AUTH_ERRORS))
async def end_my_other_sessions(tx: RevokingTransaction, now: Now) -> None:
    """End all your login sessions except this one. Their tokens stop working immediately."""
    await tx.write(login_sessions.end_others, at=now)


@router.delete(
    "/{session_id}",
    summary="End one of my login sessions",
    status_code=204,
    responses=error_responses(*AUTH_ERRORS, SessionNotFound),
)
async def end_my_session(session_id: PathId, tx: RevokingTransaction, now: Now) -> None:
    """End one of your login sessions, for example on a lost phone. Its tokens stop working immediately."""
    await tx.write(login_sessions.end, session_id, at=now)
