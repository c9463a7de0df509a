"""The transactions of a request: `await tx.write(service, ...)` runs `service(session, ...)` in one, in one thread hop.

FastAPI gives every synchronous dependency and endpoint a thread hop of its own, and a connection taken in a dependency
is held while the request queues for the next thread: 300 clients at once got half their answers as 503. So endpoints
are `async def` and wait for a permit holding nothing. One thread then opens the transaction, finds out who is calling,
runs the service and commits; only then is the answer made.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi import Request

from app.api.dependencies.counters import count_recorded
from app.core.database.retry import again
from app.core.database.session import Session
from app.core.database.transactions import CallerService, P, Service, T
from app.core.errors import DomainError
from app.core.security.access_tokens import Claims
from app.core.server.concurrency_limit import Gate
from app.core.server.runtime import Runtime
from app.services.access.authentication import note_use, stale_credential
from app.services.audit.recorder import recorded_actions

_Caller = TypeVar("_Caller")


def runtime_of(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


class Transactions:
    """A request's transactions, in which nobody in particular is calling: the service gets the session in front.

    A service may be run again (see `core/database/retry.py`), so it does nothing but ask the session: mail is sent
    after it.
    """

    def __init__(self, request: Request) -> None:
        self.runtime = runtime_of(request)
        self.request_id: str = request.state.request_id

    async def read(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        return await self._look(self.runtime.gate, lambda session: service(session, *args, **options))

    async def report(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction that may take its time: it queues with reports and exports, so it
        keeps nobody from clocking in."""
        return await self._look(self.runtime.reports_gate, lambda session: service(session, *args, **options))

    async def write(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed when this returns."""

        def work(session: Session) -> T:
            return service(session, *args, **options)

        return await self.runtime.gate.run(lambda: again(lambda: self._write(work)), writes=True)

    async def _look(self, gate: Gate, work: Callable[[Session], T]) -> T:
        answer, used = await gate.run(lambda: again(lambda: self._read(work)), writes=False)
        if used is not None:
            self.runtime.behind(used.credential, lambda: self.write(note_use, used))
        return answer

    def _read(self, work: Callable[[Session], T]) -> tuple[T, Claims | None]:
        with self.runtime.database.reading(self.request_id) as session:
            return work(session), stale_credential(session)

    def _write(self, work: Callable[[Session], T]) -> T:
        recorded: list[str] = []
        try:
            with self.runtime.database.writing(self.request_id) as session:
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


class CallerTransactions(Generic[_Caller]):
    """A request's transactions, in which somebody is calling: the service gets the session and them in front.

    Each transaction finds out anew who is calling, so whoever was deactivated before it does nothing in it.
    """

    def __init__(self, transactions: Transactions, identify: Callable[[Session], _Caller]) -> None:
        self.anonymous = transactions
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
