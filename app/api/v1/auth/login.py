"""Log in, stay logged in, log out."""

from typing import Annotated

from fastapi import APIRouter, Form

from app.api.dependencies.counters import failures_counted
from app.api.dependencies.parameters import ClientDep, CurrentUser, Now, RuntimeDep, SessionDep, TransactionsDep
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.auth.tokens import token_of
from app.api.v1.shared_errors import SIGNED_IN, WITHOUT_LOGIN
from app.core.security.opaque_tokens import RefreshRefused
from app.core.security.passwords import TooManyLogins
from app.schemas.auth.second_factor import OneTimeCode
from app.schemas.auth.session import Refresh, Token
from app.schemas.types import PLAIN_TEXT
from app.services.auth import login as logins
from app.services.auth import sessions
from app.services.auth.errors import LoginRefused, OtpRequired, OtpWrong, SecondFactorUnreadable, SessionNotFound
from app.services.auth.login import Attempt
from app.services.auth.login_throttle import LoginLimitReached

router = APIRouter(prefix="/auth", tags=["auth"], route_class=TransactionRoute)


@router.post(
    "/login",
    summary="Log in",
    responses=raises(
        *WITHOUT_LOGIN, LoginRefused, OtpRequired, OtpWrong, LoginLimitReached, TooManyLogins, SecondFactorUnreadable
    ),
)
async def login(
    username: Annotated[
        str, Form(max_length=254, description="Your e-mail.", examples=["admin@example.com"]), PLAIN_TEXT
    ],
    password: Annotated[
        str, Form(max_length=512, examples=["adminpassword"], json_schema_extra={"format": "password"}), PLAIN_TEXT
    ],
    client: ClientDep,
    runtime: RuntimeDep,
    transactions: TransactionsDep,
    now: Now,
    otp: Annotated[OneTimeCode | None, Form(description="If you have a second factor; or a recovery code.")] = None,
) -> Token:
    """Exchange e-mail and password, and the code of a second factor if you have one, for tokens.

    Fields that aren't listed are ignored.
    """
    attempt = Attempt(username, otp or None, client)
    with failures_counted():
        account = await transactions.read(lambda session: logins.find_account(session, attempt, at=now))
        matches = await runtime.hasher.verify(password, account.password_hash if account else None)
        opened = await transactions.write(
            lambda session: logins.log_in(session, attempt, account, password_matches=matches, at=now)
        )
    return token_of(runtime, opened, at=now)


@router.post("/refresh", summary="Get new tokens", responses=raises(*WITHOUT_LOGIN, RefreshRefused))
async def refresh(body: Refresh, runtime: RuntimeDep, transactions: TransactionsDep, now: Now) -> Token:
    """A new access token and the next refresh token. The old one is spent: using it later ends the session."""
    token = runtime.database.keyring.refresh_tokens.read(body.refresh_token)  # what somebody made up gets no slot
    opened = await transactions.write(lambda session: sessions.refresh(session, token, at=now))
    return token_of(runtime, opened, at=now)


@router.post("/logout", summary="Log out", status_code=204, responses=raises(*SIGNED_IN, SessionNotFound))
def log_out(session: SessionDep, actor: CurrentUser, now: Now) -> None:
    """End this session: its tokens stop working at once, everywhere."""
    sessions.log_out(session, actor, at=now)
