"""Where one is logged in."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import Now, PathId
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.schemas.auth.session import SessionRead
from app.services.auth import sessions
from app.services.auth.errors import SessionNotFound

router = APIRouter(prefix="/auth/sessions", tags=["auth"])
User = Annotated[UserTransactions, Security(as_user)]


@router.get("", summary="Where I am logged in", responses=raises(*SIGNED_IN))
async def list_sessions(tx: User, now: Now) -> list[SessionRead]:
    """Your sessions that live, the last used first."""
    return await tx.read(sessions.own, at=now)


@router.delete("", summary="Log out everywhere else", status_code=204, responses=raises(*SIGNED_IN))
async def end_other_sessions(tx: User, now: Now) -> None:
    """End all your sessions but this one: their tokens stop working at once."""
    await tx.write(sessions.end_others, at=now)


@router.delete("/{session_id}", summary="End a session", status_code=204, responses=raises(*SIGNED_IN, SessionNotFound))
async def end_session(session_id: PathId, tx: User, now: Now) -> None:
    """End one of your sessions, say on a phone that you lost: its tokens stop working at once."""
    await tx.write(sessions.end, session_id, at=now)
