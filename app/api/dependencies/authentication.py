"""Dependencies that authenticate the caller. Each is a security scheme, and gives the caller's transactions.

An operation takes the tokens of sessions, and API tokens with one of the scopes that its route names, as in
`Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.entries_read])]`; without scopes no API token.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Generic, TypeVar

from fastapi import Request, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from app.api.dependencies.transactions import CallerTransactions, Transactions, runtime_of
from app.core.database.session import Session
from app.core.security.access_tokens import Access, Claims, TokenScope, Waiting
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.access import authentication
from app.services.access.actor import Actor

_Caller = TypeVar("_Caller")


class Authentication(OAuth2PasswordBearer, Generic[_Caller]):
    """Verify the request's token, and count the request against its credential's limit, before the body is judged and
    before a permit is taken: raises BadToken, TooManyRequests. Whom the token stands for, `identify` asks the database
    in each transaction. `waiting` is what the caller may have to do before anything else, and not yet have done.

    It is the scheme itself, not a dependency on it: each dependency is solved at each request.
    """

    def __init__(self, identify: Callable[[Session, Claims], _Caller], *waiting: Waiting) -> None:
        super().__init__(
            tokenUrl="/api/v1/auth/login",
            scheme_name=OAuth2PasswordBearer.__name__,
            auto_error=False,
            description="Log in with e-mail (as username) and password.",
        )
        self._identify = identify
        self._access = cache(lambda scopes: Access(frozenset(map(TokenScope, scopes)), frozenset(waiting)))

    async def __call__(  # type: ignore[override]
        self, request: Request, security: SecurityScopes
    ) -> CallerTransactions[_Caller]:
        token = await super().__call__(request)
        runtime = runtime_of(request)
        claims = runtime.signer.read(token, self._access(tuple(security.scopes)), at=utc_now())
        request.state.user_id = claims.user_id  # for the log: whose request it is, or whose an API token says it is
        runtime.request_limit.take(claims.credential, at=monotonic_seconds())  # a session is one, whatever its tokens
        return CallerTransactions(Transactions(request), lambda session: self._identify(session, claims))


UserTransactions = CallerTransactions[Actor]
ClaimsTransactions = CallerTransactions[Claims]

as_user = Authentication(authentication.authenticate)
as_manager = Authentication(authentication.manager)
as_admin = Authentication(authentication.admin)
as_any_user = Authentication(authentication.authenticate, *Waiting)
"""Also who has to change their password, or to enrol a second factor, before anything else."""
as_enrolling_user = Authentication(authentication.authenticate, Waiting.second_factor)
with_claims = Authentication(lambda _session, claims: claims)
"""For services that authenticate in a statement of their own, or again behind a lock."""
with_any_claims = Authentication(lambda _session, claims: claims, *Waiting)

Admin = Annotated[UserTransactions, Security(as_admin, scopes=[TokenScope.admin])]
AdminInPerson = Annotated[UserTransactions, Security(as_admin)]
"""For what lets others in: an API token would make itself a session by it, past its scope, its expiry and the second
factor."""
