"""Dependencies that authenticate the caller. Each one is a security scheme and returns a transaction runner.

An operation accepts access tokens, and API tokens that have one of its route's scopes, as in
`Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read])]`. Without scopes, it accepts
no API token.
"""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Annotated, Generic, TypeVar

from fastapi import Request, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from app.api.dependencies.parameters import client_address
from app.api.dependencies.transactions import AuthenticatedTransactionRunner, RequestTransactionRunner, get_runtime
from app.core.database.session import Session
from app.core.security.access_tokens import AccessRule, Claims, PendingAction, TokenScope
from app.core.server.ip_addresses import rate_limit_key
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.access import authentication
from app.services.access.actor import Actor

_Caller = TypeVar("_Caller")


class Authentication(OAuth2PasswordBearer, Generic[_Caller]):
    """Verify the request's token and apply its user's rate limit, before the body is validated.

    All login sessions of a user share one limit, and all API tokens another one. So a stolen API token uses up nothing
    that its user needs to find and end it. API tokens that may be made up and credentials that the database has
    rejected share the limit of their network. Otherwise they could use up the limit of the user whom they name.

    Raises InvalidToken, TooManyRequests. `identify` loads the caller from the database in each transaction. `pending`
    lists the actions that the caller may still have to do, such as changing the password. With `ends_credentials`, each
    credential has a limit of its own. Otherwise a stolen one could keep its user from ending it.

    The class is the security scheme instead of depending on one, because each dependency costs time at each request.
    """

    def __init__(
        self, identify: Callable[[Session, Claims], _Caller], *pending: PendingAction, ends_credentials: bool = False
    ) -> None:
        super().__init__(
            tokenUrl="/api/v1/auth/login",
            scheme_name=OAuth2PasswordBearer.__name__,
            auto_error=False,
            description="Log in with e-mail (as username) and password. A login has all scopes, whichever you select.",
        )
        self._identify = identify
        self._ends_credentials = ends_credentials
        self._access_rule = cache(lambda scopes: AccessRule(frozenset(map(TokenScope, scopes)), frozenset(pending)))

    async def __call__(  # type: ignore[override]
        self, request: Request, security: SecurityScopes
    ) -> AuthenticatedTransactionRunner[_Caller]:
        token = await super().__call__(request)
        runtime = get_runtime(request)
        claims = runtime.signer.read(token, self._access_rule(tuple(security.scopes)), at=utc_now())
        request.state.user_id = claims.user_id  # for the log; an API token may be made up
        request.state.limit_key = limit_key = self._choose_limit_key(claims, request)
        runner = RequestTransactionRunner(request, uses_api_token=claims.uses_api_token)
        runner.set_remaining_quota(runtime.rate_limiter.acquire(limit_key, at=monotonic_seconds()))
        return AuthenticatedTransactionRunner(
            runner,
            lambda session: self._identify(session, claims),
            limit_key=limit_key,
            verified_user_id=claims.user_id if claims.is_authentic else None,
            on_accepted=lambda: runtime.signer.remember_accepted(claims),
            on_rejected=lambda: runtime.signer.remember_rejected(claims),
        )

    def _choose_limit_key(self, claims: Claims, request: Request) -> Hashable:
        if not claims.is_authentic:
            return f"unproven {rate_limit_key(client_address(request))}"
        if self._ends_credentials:
            return claims.credential
        return f"API tokens of {claims.user_id}" if claims.uses_api_token else claims.user_id


UserTransactionRunner = AuthenticatedTransactionRunner[Actor]
ClaimsTransactionRunner = AuthenticatedTransactionRunner[Claims]

require_user = Authentication(authentication.authenticate)
require_manager = Authentication(authentication.authenticate_manager)
require_admin = Authentication(authentication.authenticate_admin)
require_user_allow_pending = Authentication(authentication.authenticate, *PendingAction)
"""Also accepts users who must first change their password or enroll a second factor."""
require_user_allow_enrollment = Authentication(authentication.authenticate, PendingAction.second_factor)
require_user_to_revoke = Authentication(authentication.authenticate, ends_credentials=True)
require_user_to_log_out = Authentication(authentication.authenticate, *PendingAction, ends_credentials=True)
require_claims = Authentication(lambda _session, claims: claims)
"""For services that authenticate in a statement of their own, or again after they acquired a lock."""
require_claims_allow_enrollment = Authentication(lambda _session, claims: claims, PendingAction.second_factor)
require_claims_to_change_password = Authentication(
    lambda _session, claims: claims, *PendingAction, ends_credentials=True
)

AdminTransaction = Annotated[UserTransactionRunner, Security(require_admin, scopes=[TokenScope.admin])]
RevokingTransaction = Annotated[UserTransactionRunner, Security(require_user_to_revoke)]
"""For operations by which a user ends credentials of their own."""
InteractiveAdminTransaction = Annotated[UserTransactionRunner, Security(require_admin)]
"""For operations that grant access to an account. With them, an API token could create itself a login session, which
has no scopes, outlasts the token, and bypasses the second factor."""
