"""One request is one transaction in one thread hop.

FastAPI gives every synchronous dependency and endpoint a thread hop of its own, and a connection taken in a dependency
is held while the request queues for the next thread: 300 clients at once got half their answers as 503. So a plain
`def` endpoint on `TransactionRoute` is wrapped: the request waits for a slot holding nothing, then one thread opens the
transaction, finds out who asks, runs the endpoint, commits, and only then is the answer sent.

The endpoint says what it needs by type: `SessionDep`, `CurrentUser`, `Manager`, `Admin` (see parameters.py). An
`async def` endpoint is left alone; it takes `Transactions` and runs its own, as a login does around its hashing.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar, get_args

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer

from app.api.dependencies.access_policy import access_to
from app.api.dependencies.counters import count_recorded
from app.core.database.retry import again
from app.core.database.session import Session
from app.core.errors import DomainError
from app.core.security.access_tokens import Claims
from app.core.server.runtime import Runtime
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.access.authentication import note_use, stale_credential
from app.services.audit.recorder import recorded_actions

_Answer = TypeVar("_Answer")


def runtime_of(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


class _Credential(OAuth2PasswordBearer):
    """What the request's token proves. Raises BadToken and TooManyRequests, before the body is judged and before a slot
    is taken. A session is counted as one, however many access tokens it got.

    It is the scheme itself, not a dependency on it: each dependency is solved at each request."""

    async def __call__(self, request: Request) -> Claims:  # type: ignore[override]
        token = await super().__call__(request)
        runtime = runtime_of(request)
        claims = runtime.signer.read(token, access_to(request), at=utc_now())
        request.state.user_id = claims.user_id  # for the log: whose request it is, or whose an API token says it is
        runtime.request_limit.take(claims.credential, at=monotonic_seconds())
        return claims


claims_of = _Credential(
    tokenUrl="/api/v1/auth/login",
    scheme_name=OAuth2PasswordBearer.__name__,
    auto_error=False,
    description="Log in with e-mail (as username) and password.",
)


class Provided(Protocol):
    """Metadata of a parameter that the wrapper fills inside the transaction."""

    needs_claims: bool

    def provide(self, session: Session, claims: Claims | None) -> Any: ...


class Transactions:
    """For endpoints that need more than one transaction, or work between them.

    The work may be run again (see `core/database/retry.py`), so it does nothing but ask the session: mail is sent
    behind it.
    """

    def __init__(self, request: Request, *, is_report: bool = False) -> None:
        self._runtime = runtime_of(request)
        self._gate = self._runtime.reports_gate if is_report else self._runtime.gate
        self.request_id: str = request.state.request_id

    async def read(self, work: Callable[[Session], _Answer]) -> _Answer:
        """Run the work in a read-only transaction, in a slot."""
        answer, used = await self._gate.run(lambda: again(lambda: self._read(work)), writes=False)
        if used is not None:
            self._runtime.behind(used.credential, lambda: self._note(used))
        return answer

    async def write(self, work: Callable[[Session], _Answer]) -> _Answer:
        """Run the work in a writing transaction, in a slot; committed when this returns."""
        return await self._gate.run(lambda: again(lambda: self._write(work)), writes=True)

    def _read(self, work: Callable[[Session], _Answer]) -> tuple[_Answer, Claims | None]:
        with self._runtime.database.reading(self.request_id) as session:
            return work(session), stale_credential(session)

    def _write(self, work: Callable[[Session], _Answer]) -> _Answer:
        recorded: list[str] = []
        try:
            with self._runtime.database.writing(self.request_id) as session:
                recorded = recorded_actions(session)
                answer = work(session)
                if (used := stale_credential(session)) is not None:
                    note_use(session, used)
        except DomainError as refusal:
            if refusal.is_recorded:
                count_recorded(recorded)
            raise
        count_recorded(recorded)
        return answer

    async def _note(self, used: Claims) -> None:
        """Write down that a read used a credential, in a transaction of its own, for which the answer didn't wait."""
        await self._runtime.gate.run(lambda: self._write(lambda session: note_use(session, used)), writes=True)


class TransactionRoute(APIRoute):
    """A route whose plain `def` endpoint runs in one transaction: GET reads, every other method writes."""

    is_report = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            writes = options.get("methods") != ["GET"]
            endpoint = _in_one_transaction(endpoint, writes=writes, is_report=self.is_report)
        super().__init__(path, endpoint, **options)


class ReportRoute(TransactionRoute):
    """A TransactionRoute that may take its time: it queues with the exports, so it keeps nobody from punching."""

    is_report = True


def _in_one_transaction(endpoint: Callable[..., Any], *, writes: bool, is_report: bool) -> Callable[..., Any]:
    signature = inspect.signature(endpoint, eval_str=True)
    provided = {name: marker for name, p in signature.parameters.items() if (marker := _marker(p)) is not None}
    asked = [parameter for name, parameter in signature.parameters.items() if name not in provided]

    async def run(request_: Request, claims_: Claims | None = None, **values: Any) -> Any:
        def work(session: Session) -> Any:
            filled = {name: marker.provide(session, claims_) for name, marker in provided.items()}
            return endpoint(**values, **filled)

        transactions = Transactions(request_, is_report=is_report)
        return await (transactions.write(work) if writes else transactions.read(work))

    ours = [inspect.Parameter("request_", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    if any(marker.needs_claims for marker in provided.values()):
        claims = Annotated[Claims, Depends(claims_of)]
        ours.append(inspect.Parameter("claims_", inspect.Parameter.KEYWORD_ONLY, annotation=claims))
    asked = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in asked]
    run.__signature__ = signature.replace(parameters=[*ours, *asked])  # type: ignore[attr-defined]
    run.__name__, run.__doc__, run.__module__ = endpoint.__name__, endpoint.__doc__, endpoint.__module__
    return run


def _marker(parameter: inspect.Parameter) -> Provided | None:
    metadata = get_args(parameter.annotation)[1:] if hasattr(parameter.annotation, "__metadata__") else ()
    return next((item for item in metadata if hasattr(item, "provide")), None)
