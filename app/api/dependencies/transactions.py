"""The transactions of a request: `await tx.write(service, ...)` runs `service(session, ...)` in one, in one thread hop.

FastAPI gives every synchronous dependency and endpoint a thread hop of its own, and a connection taken in a dependency
is held while the request queues for the next thread: 300 clients at once got half their answers as 503. So endpoints
are `async def` and wait for a permit holding nothing. One thread then opens the transaction, finds out who is calling,
runs the service and commits; only then is the answer made.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi import Request

from app.api.dependencies.counters import count_audit_events
from app.core.database.retry import run_with_retry
from app.core.database.session import Session
from app.core.database.transactions import CallerService, P, Service, T
from app.core.errors import DomainError
from app.core.security.access_tokens import Claims
from app.core.server.concurrency_limit import ConcurrencyLimiter
from app.core.server.runtime import Runtime
from app.services.access.authentication import stale_credential, touch_last_used
from app.services.audit.recorder import recorded_actions

_Caller = TypeVar("_Caller")


def get_runtime(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


class RequestTransactionRunner:
    """A request's transactions, in which nobody in particular is calling: the service gets the session in front.

    A service may be run again (see `core/database/retry.py`), so it does nothing but ask the session: mail is sent
    after it.
    """

    def __init__(self, request: Request) -> None:
        self.runtime = get_runtime(request)
        self.request_id: str = request.state.request_id

    async def read(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        return await self._run_read(self.runtime.request_limiter, lambda session: service(session, *args, **options))

    async def report(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction that may take its time: it queues with reports and exports, so it
        keeps nobody from clocking in."""
        return await self._run_read(self.runtime.report_limiter, lambda session: service(session, *args, **options))

    async def write(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed when this returns."""

        def work(session: Session) -> T:
            return service(session, *args, **options)

        return await self.runtime.request_limiter.run(
            lambda: run_with_retry(lambda: self._write_once(work)), writes=True
        )

    async def _run_read(self, limiter: ConcurrencyLimiter, work: Callable[[Session], T]) -> T:
        result, stale_claims = await limiter.run(lambda: run_with_retry(lambda: self._read_once(work)), writes=False)
        if stale_claims is not None:
            self.runtime.run_in_background(stale_claims.credential, lambda: self.write(touch_last_used, stale_claims))
        return result

    def _read_once(self, work: Callable[[Session], T]) -> tuple[T, Claims | None]:
        with self.runtime.database.read_transaction(self.request_id) as session:
            return work(session), stale_credential(session)

    def _write_once(self, work: Callable[[Session], T]) -> T:
        actions: list[str] = []
        try:
            with self.runtime.database.write_transaction(self.request_id) as session:
                actions = recorded_actions(session)
                result = work(session)
                if (stale_claims := stale_credential(session)) is not None:
                    touch_last_used(session, stale_claims)
        except DomainError as error:
            if error.is_audited:
                count_audit_events(actions)
            raise
        count_audit_events(actions)
        return result


class AuthenticatedTransactionRunner(Generic[_Caller]):
    """A request's transactions, in which somebody is calling: the service gets the session and them in front.

    Each transaction finds out anew who is calling, so whoever was deactivated before it does nothing in it.
    """

    def __init__(self, runner: RequestTransactionRunner, identify: Callable[[Session], _Caller]) -> None:
        self.anonymous = runner
        self._identify = identify

    async def read(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        return await self.anonymous.read(lambda session: service(session, self._identify(session), *args, **options))

    async def report(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction that queues with reports and exports."""
        return await self.anonymous.report(lambda session: service(session, self._identify(session), *args, **options))

    async def write(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed when this returns."""
        return await self.anonymous.write(lambda session: service(session, self._identify(session), *args, **options))
