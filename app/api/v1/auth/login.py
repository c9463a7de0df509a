"""Log in, stay logged in, log out."""

from typing import Annotated

from fastapi import APIRouter, Form, Security

from app.api.dependencies.authentication import UserTransactions, as_any_user
from app.api.dependencies.counters import failures_counted
from app.api.dependencies.parameters import ClientDep, Now, RuntimeDep, TransactionsDep
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

router = APIRouter(prefix="/auth", tags=["auth"])


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
    tx: TransactionsDep,
    now: Now,
    otp: Annotated[OneTimeCode | None, Form(description="If you have a second factor; or a recovery code.")] = None,
) -> Token:
    """Exchange e-mail and password, and the code of a second factor if you have one, for tokens.

    Fields that aren't listed are ignored.
    """
    attempt = Attempt(username, otp or None, client)
    with failures_counted():
        opened = await logins.log_in(tx, runtime.hasher, attempt, password, at=now)
    return token_of(runtime, opened, at=now)


@router.post("/refresh", summary="Get new tokens", responses=raises(*WITHOUT_LOGIN, RefreshRefused))
async def refresh(body: Refresh, runtime: RuntimeDep, tx: TransactionsDep, now: Now) -> Token:
    """A new access token and the next refresh token. The old one is spent: using it later ends the session."""
    token = runtime.database.keyring.refresh_tokens.read(body.refresh_token)  # what somebody made up gets no slot
    opened = await tx.write(sessions.refresh, token, at=now)
    return token_of(runtime, opened, at=now)


@router.post("/logout", summary="Log out", status_code=204, responses=raises(*SIGNED_IN, SessionNotFound))
async def log_out(tx: Annotated[UserTransactions, Security(as_any_user)], now: Now) -> None:
    """End this session: its tokens stop working at once, everywhere."""
    await tx.write(sessions.log_out, at=now)
