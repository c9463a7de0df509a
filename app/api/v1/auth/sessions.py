"""Where one is logged in."""

from fastapi import APIRouter

from app.api.dependencies.parameters import CurrentUser, Now, PathId, SessionDep
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.schemas.auth.session import SessionRead
from app.services.auth import sessions
from app.services.auth.errors import SessionNotFound

router = APIRouter(prefix="/auth/sessions", tags=["auth"], route_class=TransactionRoute)


@router.get("", summary="Where I am logged in", responses=raises(*SIGNED_IN))
def list_sessions(session: SessionDep, actor: CurrentUser, now: Now) -> list[SessionRead]:
    """Your sessions that live, the last used first."""
    return sessions.own(session, actor, at=now)


@router.delete("", summary="Log out everywhere else", status_code=204, responses=raises(*SIGNED_IN))
def end_other_sessions(session: SessionDep, actor: CurrentUser, now: Now) -> None:
    """End all your sessions but this one: their tokens stop working at once."""
    sessions.end_others(session, actor, at=now)


@router.delete("/{session_id}", summary="End a session", status_code=204, responses=raises(*SIGNED_IN, SessionNotFound))
def end_session(session_id: PathId, session: SessionDep, actor: CurrentUser, now: Now) -> None:
    """End one of your sessions, say on a phone that you lost: its tokens stop working at once."""
    sessions.end(session, actor, session_id, at=now)
