"""The transactions of a request: `await tx.write(service, ...)` runs `service(session, ...)` in one transaction.

FastAPI runs every synchronous dependency and endpoint in a thread hop of its own. A connection acquired in a dependency
is held while the request queues for the next thread. Therefore, with 300 concurrent clients, half of the responses were
503. So endpoints are `async def` and hold neither a thread nor a connection while they queue for a permit. One thread
then begins the transaction, authenticates the caller, runs the service and commits. Only then is the response created.
"""

from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from fastapi import Request

from app.api.dependencies.counters import count_audit_events
from app.api.dependencies.write_quota import WriteQuota
from app.api.http.response_headers import rate_limit_headers
from app.core.database.retry import run_with_retry
from app.core.database.session import Session
from app.core.database.transactions import CallerService, P, Service, T
from app.core.security.access_tokens import Claims, InvalidToken
from app.core.server.concurrency_limit import ConcurrencyLimiter
from app.core.server.rate_limit import RemainingQuota
from app.core.server.runtime import Runtime
from app.core.time.clock import monotonic_seconds, utc_now
from app.services import idempotency
from app.services.access.actor import Actor
from app.services.access.authentication import stale_credential, touch_last_used
from app.services.audit.recorder import recorded_actions
from app.services.auth import refused_logins
from app.services.auth.code_attempts import queued_mails

_Caller = TypeVar("_Caller")


def get_runtime(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


class RequestTransactionRunner:
    """Runs services in transactions without a caller. Each service gets the session as its first argument.

    A service may be retried (see `core/database/retry.py`), so it must have no effect outside the transaction. For
    example, e-mail is sent after the commit.
    """

    def __init__(self, request: Request, *, uses_api_token: bool = False) -> None:
        self.runtime = get_runtime(request)
        self.request_id: str = request.state.request_id
        self._uses_api_token = uses_api_token
        self._permit_key: Hashable = None
        self._serial_key: Hashable = None
        self._quota = WriteQuota(self.runtime.write_limiter, uses_api_token=uses_api_token)
        self.response_headers: dict[str, str] = request.state.response_headers
        """Headers of the response, also if it is an error response."""
        self.is_head: bool = request.state.is_head
        """True if the client wants only the headers of the response."""

    def share_permits(self, user: Hashable, *, account: Hashable = None) -> None:
        """Let `read` and `write` use the permits of a user or network, and let writes for an account run in turns.

        Without a caller, they would have all permits. Writes for one account all wait for the row of its user, which a
        bulk request of that user holds for seconds.
        """
        self._permit_key = user
        self._serial_key = None if account is None else f"without a caller {account}"

    async def read(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""
        return await self.read_for(self._permit_key, lambda session: service(session, *args, **options))

    async def read_for(self, user: Hashable, work: Callable[[Session], T]) -> T:
        """Run the work in a read-only transaction. Reads and writes of one user have half of the permits at most."""
        return await self._run_read(self.runtime.request_limiter, work, user_id=user)

    async def report(self, user_id: int, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a slow read-only transaction. It uses a permit of the report limiter, so that it never
        delays a clock-in. The user, who must be verified, has a limited share of these permits."""
        return await self._run_read(
            self.runtime.report_limiter, lambda session: service(session, *args, **options), user_id=user_id
        )

    async def write(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed before this returns."""
        return await self.write_for(self._permit_key, lambda session: service(session, *args, **options))

    async def write_for(self, user: Hashable, work: Callable[[Session], T]) -> T:
        """Run the work in a writing transaction. Reads and writes of one user have half of the permits at most.

        Writes with the user's API tokens have one permit. They all lock the user's row, so more of them would only
        delay the user who revokes the token.
        """
        serial_key = f"API tokens of {user}" if self._uses_api_token else self._serial_key if user else None
        sessions: list[Session] = []  # of each try
        try:
            return await self.runtime.request_limiter.run(
                lambda: run_with_retry(
                    lambda: self._write_once(work, sessions),
                    lock_wait_seconds=self.runtime.settings.DB_LOCK_TIMEOUT_SECONDS,
                ),
                writes=True,
                user_id=user,
                serial_key=serial_key,
            )
        finally:
            for session in sessions:
                if session.is_committed:
                    self._follow_up(session)

    async def _run_read(self, limiter: ConcurrencyLimiter, work: Callable[[Session], T], *, user_id: Hashable) -> T:
        result, stale_claims = await limiter.run(
            lambda: run_with_retry(lambda: self._read_once(work)), writes=False, user_id=user_id
        )
        if stale_claims is not None:
            self.runtime.run_in_background(stale_claims.credential, lambda: self.write(touch_last_used, stale_claims))
        return result

    def _read_once(self, work: Callable[[Session], T]) -> tuple[T, Claims | None]:
        with self.runtime.database.read_transaction(self.request_id) as session:
            return work(session), stale_credential(session)

    def _write_once(self, work: Callable[[Session], T], sessions: list[Session]) -> T:
        with self.runtime.database.write_transaction(self.request_id) as session:
            sessions.append(session)
            result = work(session)
            self._quota.check(session)  # behind the service, which has authenticated the caller
            if (stale_claims := stale_credential(session)) is not None:
                touch_last_used(session, stale_claims)
        return result

    def count_request(self, key: Hashable) -> None:
        """Count the request by this key in the rate limiter. Raises TooManyRequests."""
        self.set_remaining_quota(self.runtime.rate_limiter.acquire(key, at=monotonic_seconds()))

    def set_remaining_quota(self, quota: RemainingQuota) -> None:
        """Set the RateLimit headers of the response."""
        self.response_headers |= rate_limit_headers(self.runtime.rate_limiter.policy, quota)

    def _follow_up(self, session: Session) -> None:
        """Count what a committed transaction wrote, and start what follows it: e-mails, events of refused logins.

        Also mark the response if an Idempotency-Key had already been used for it.
        """
        if idempotency.is_replayed(session):
            self.response_headers["Idempotent-Replayed"] = "true"
        count_audit_events(recorded_actions(session))
        self._quota.charge(session)
        if (mailer := self.runtime.mailer) is not None:
            for mail in queued_mails(session):
                self.runtime.run_in_background(mail, partial(mailer.send, mail))
        if refused_logins.had_attempt(session):
            key = (refused_logins.record_due, self.request_id)
            self.runtime.run_in_background(key, lambda: self.write_for(None, _record_due_refusals))


def _record_due_refusals(session: Session) -> None:
    refused_logins.record_due(session, at=utc_now())


class AuthenticatedTransactionRunner(Generic[_Caller]):
    """Runs services in transactions of a caller. Each service gets the session and the caller as first arguments.

    Each transaction authenticates the caller again, so a user who was deactivated meanwhile is rejected.
    """

    def __init__(
        self,
        runner: RequestTransactionRunner,
        identify: Callable[[Session], _Caller],
        *,
        limit_key: Hashable = None,
        verified_user_id: int | None = None,
        on_accepted: Callable[[], None] = lambda: None,
        on_rejected: Callable[[], None] = lambda: None,
    ) -> None:
        """`limit_key` is the key in the rate limiter by which the caller's requests are counted. `verified_user_id` is
        the caller's id if the credential proves it without the database. After each transaction, `on_accepted` or
        `on_rejected` runs, because the database has then accepted or rejected the credential.
        """
        self.anonymous = runner
        self.identify = identify
        self._limit_key = limit_key
        self._user_id = verified_user_id
        self._on_accepted, self._on_rejected = on_accepted, on_rejected

    def count_operations(self, count: int) -> None:
        """Count this request as `count` requests of the caller. Raises TooManyRequests."""
        if self._limit_key is not None:
            limiter = self.anonymous.runtime.rate_limiter
            self.anonymous.set_remaining_quota(
                limiter.acquire_operations(self._limit_key, count, at=monotonic_seconds())
            )

    async def user_id(self) -> int:
        """Return the caller's id, by which shares of the report limiter are counted.

        An API token without a valid tag proves nothing until the database has verified it. Otherwise forged tokens
        could use up another user's share.
        """
        if self._user_id is None:
            caller = await self._judge(self.anonymous.read_for(self._permit_key, self.identify))
            assert isinstance(caller, Actor)  # only these callers ask for reports
            self._user_id = caller.id
        return self._user_id

    async def read(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""

        def work(session: Session) -> T:
            return service(session, self.identify(session), *args, **options)

        return await self._judge(self.anonymous.read_for(self._permit_key, work))

    async def report(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction that uses a permit of the report limiter."""
        user_id = await self.user_id()
        return await self._judge(
            self.anonymous.report(user_id, lambda session: service(session, self.identify(session), *args, **options))
        )

    async def compute(self, work: Callable[[], T]) -> T:
        """Run slow work without a transaction, on a permit of the report limiter."""
        user_id = await self.user_id()
        return await self.anonymous.runtime.report_limiter.run(work, writes=False, user_id=user_id)

    async def write(self, service: CallerService[_Caller, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed before this returns.

        Raises TooManyChanges if it records an event and the caller's earlier events have used up the quota.
        """

        def work(session: Session) -> T:
            return service(session, self.identify(session), *args, **options)

        return await self._judge(self.anonymous.write_for(self._permit_key, work))

    @property
    def _permit_key(self) -> Hashable:
        """The key by which permits are counted. A token that proves nothing yet shares those of its network."""
        return self._limit_key if self._user_id is None else self._user_id

    async def _judge(self, transaction: Awaitable[T]) -> T:
        """Await the transaction, and report if the database accepted or rejected the credential."""
        try:
            result = await transaction
        except InvalidToken:
            self._on_rejected()
            raise
        self._on_accepted()
        return result
