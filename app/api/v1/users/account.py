"""One's own account."""

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from app.api.dependencies.parameters import ClaimsDep, CurrentUser, Now, RuntimeDep, SessionDep, TransactionsDep
from app.api.dependencies.streaming import stream_response
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.shared_errors import OF_EXPORT, SIGNED_IN
from app.schemas.users.personal_data import PersonalData
from app.schemas.users.user import AccountRead, MeUpdate
from app.services.users import account, personal_data

router = APIRouter(prefix="/auth", tags=["auth"], route_class=TransactionRoute)


@router.get("/me", summary="Who am I", responses=raises(*SIGNED_IN))
def read_me(session: SessionDep, actor: CurrentUser) -> AccountRead:
    """Your account: name, role, manager, time zone."""
    return AccountRead.model_validate(account.me(session, actor))


@router.patch("/me", summary="Change my names or time zone", responses=raises(*SIGNED_IN))
def change_me(body: MeUpdate, session: SessionDep, actor: CurrentUser, now: Now) -> AccountRead:
    """A new time zone counts for entries from now on; recorded ones keep theirs, so history doesn't move."""
    return AccountRead.model_validate(account.change_me(session, actor, body, at=now))


@router.get(
    "/me/export",
    summary="All that is stored about me",
    response_class=StreamingResponse,
    responses=raises(*SIGNED_IN, *OF_EXPORT)
    | {200: {"description": "One JSON object; streamed.", "model": PersonalData}},
)
async def export_own_data(
    request: Request, claims: ClaimsDep, now: Now, runtime: RuntimeDep, transactions: TransactionsDep
) -> StreamingResponse:
    """Your account, memberships, entries, everything that the record has of you and that you did, and kept answers."""
    return await stream_response(
        runtime,
        transactions,
        lambda session: personal_data.begin_export(session, claims, at=now),
        lambda session, actor, out: personal_data.write_json(session, actor, out, at=now),
        media_type="application/json",
        file_name="my_data.json",
    )
