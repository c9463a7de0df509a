"""Log in, and one's own account."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import StreamingResponse

from app.api.dependencies import ClaimsDep, CurrentUser, Now, RuntimeDep, SessionDep, TransactionsDep
from app.api.problems import raises
from app.api.streaming import NoRoom, streamed
from app.api.transactions import TransactionRoute
from app.api.v1.common import SIGNED_IN, WITHOUT_LOGIN
from app.core.passwords import TooManyLogins
from app.schemas.auth import Token
from app.schemas.personal_data import PersonalData
from app.schemas.types import PLAIN_TEXT
from app.schemas.user import MeUpdate, UserRead
from app.services import auth, personal_data
from app.services.errors import LoginRefused

router = APIRouter(prefix="/auth", tags=["auth"], route_class=TransactionRoute)


@router.post("/login", summary="Log in", responses=raises(*WITHOUT_LOGIN, LoginRefused, TooManyLogins))
async def login(
    username: Annotated[
        str, Form(max_length=254, description="Your e-mail.", examples=["admin@example.com"]), PLAIN_TEXT
    ],
    password: Annotated[
        str, Form(max_length=512, examples=["adminpassword"], json_schema_extra={"format": "password"}), PLAIN_TEXT
    ],
    runtime: RuntimeDep,
    transactions: TransactionsDep,
    now: Now,
) -> Token:
    """Exchange e-mail and password for an access token. Fields that aren't listed are ignored."""
    account = await transactions.read(lambda session: auth.find_account(session, username))
    matches = await runtime.hasher.verify(password, account.password_hash if account else None)
    person = await transactions.write(
        lambda session: auth.log_in(session, username, account, password_matches=matches, at=now)
    )
    return Token(
        access_token=runtime.signer.sign(person.user_id, person.epoch, at=now),
        expires_in=int(runtime.signer.lifetime.total_seconds()),
    )


@router.get("/me", summary="Who am I", responses=raises(*SIGNED_IN))
def read_me(session: SessionDep, actor: CurrentUser) -> UserRead:
    """Your account: name, role, manager, time zone."""
    return UserRead.model_validate(auth.me(session, actor))


@router.patch("/me", summary="Change my names or time zone", responses=raises(*SIGNED_IN))
def change_me(body: MeUpdate, session: SessionDep, actor: CurrentUser, now: Now) -> UserRead:
    """A new time zone counts for entries from now on; recorded ones keep theirs, so history doesn't move."""
    return UserRead.model_validate(auth.change_me(session, actor, body, at=now))


@router.get(
    "/me/export",
    summary="All that is stored about me",
    response_class=StreamingResponse,
    responses=raises(*SIGNED_IN, NoRoom) | {200: {"description": "One JSON object; streamed.", "model": PersonalData}},
)
async def export_own_data(
    request: Request, claims: ClaimsDep, now: Now, runtime: RuntimeDep, transactions: TransactionsDep
) -> StreamingResponse:
    """Your account, memberships, entries, everything that the record has of you and that you did, and kept answers."""
    actor = await transactions.write(lambda session: personal_data.begin_export(session, claims, at=now))
    return await streamed(
        runtime,
        request.state.request_id,
        lambda session: personal_data.json_chunks(session, actor, at=now),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my_data.json"', "Cache-Control": "no-store"},
    )
