"""Dependencies that authenticate the caller. Each is a security scheme, and gives the caller's transactions.

An operation takes the tokens of sessions, and API tokens with one of the scopes that its route names, as in
`Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read])]`; without scopes, none.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Generic, TypeVar

from fastapi import Request, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from app.api.dependencies.transactions import AuthenticatedTransactionRunner, RequestTransactionRunner, get_runtime
from app.core.database.session import Session
from app.core.security.access_tokens import AccessRule, Claims, PendingAction, TokenScope
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.access import authentication
from app.services.access.actor import Actor

_Caller = TypeVar("_Caller")


class Authentication(OAuth2PasswordBearer, Generic[_Caller]):
    """Verify the request's token, and count the request against its credential's limit, before the body is judged and
    before a permit is taken: raises InvalidToken, TooManyRequests. Whom it stands for, `identify` asks the database
    in each transaction. `pending` are what the caller may still have to do before anything else.

    It is the scheme itself, not a dependency on it: each dependency is solved at each request.
    """

    def __init__(self, identify: Callable[[Session, Claims], _Caller], *pending: PendingAction) -> None:
        super().__init__(
            tokenUrl="/api/v1/auth/login",
            scheme_name=OAuth2PasswordBearer.__name__,
            auto_error=False,
            description="Log in with e-mail (as username) and password.",
        )
        self._identify = identify
        self._access_rule = cache(lambda scopes: AccessRule(frozenset(map(TokenScope, scopes)), frozenset(pending)))

    async def __call__(  # type: ignore[override]
        self, request: Request, security: SecurityScopes
    ) -> AuthenticatedTransactionRunner[_Caller]:
        token = await super().__call__(request)
        runtime = get_runtime(request)
        claims = runtime.signer.read(token, self._access_rule(tuple(security.scopes)), at=utc_now())
        request.state.user_id = claims.user_id  # for the log: whose request it is, or whose an API token says it is
        runtime.rate_limiter.acquire(claims.credential, at=monotonic_seconds())  # a session is one, whatever its tokens
        return AuthenticatedTransactionRunner(
            RequestTransactionRunner(request), lambda session: self._identify(session, claims)
        )


UserTransactionRunner = AuthenticatedTransactionRunner[Actor]
ClaimsTransactionRunner = AuthenticatedTransactionRunner[Claims]

require_user = Authentication(authentication.authenticate)
require_manager = Authentication(authentication.authenticate_manager)
require_admin = Authentication(authentication.authenticate_admin)
require_user_allow_pending = Authentication(authentication.authenticate, *PendingAction)
"""Also who has to change their password, or to enrol a second factor, before anything else."""
require_user_allow_enrolment = Authentication(authentication.authenticate, PendingAction.second_factor)
require_claims = Authentication(lambda _session, claims: claims)
"""For services that authenticate in a statement of their own, or again behind a lock."""
require_claims_allow_pending = Authentication(lambda _session, claims: claims, *PendingAction)

AdminTransaction = Annotated[UserTransactionRunner, Security(require_admin, scopes=[TokenScope.admin])]
InteractiveAdminTransaction = Annotated[UserTransactionRunner, Security(require_admin)]
"""For what lets others in: an API token would make itself a session by it, past its scope, its expiry and the second
factor."""
