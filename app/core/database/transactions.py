"""Protocols for running service functions in transactions.

`await tx.write(service, a, b=c)` runs `service(session, a, b=c)` in one transaction, or `service(session, caller, a,
b=c)` for an authenticated caller. It may be retried (see retry.py), so a service function must have no side effects
outside the session.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from app.core.database.session import Session

P = ParamSpec("P")
T = TypeVar("T")
Caller = TypeVar("Caller")
_Caller_co = TypeVar("_Caller_co", covariant=True)
Service = Callable[Concatenate[Session, P], T]
CallerService = Callable[Concatenate[Session, Caller, P], T]


class TransactionRunner(Protocol):
    """Runs service functions, with the session as their first argument."""

    async def read(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""

    async def write(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a write transaction, which is committed when this returns."""


class CallerTransactionRunner(Protocol[_Caller_co]):
    """Runs service functions, with the session and the caller as their first arguments.

    The caller is loaded again in each transaction.
    """

    async def read(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""

    async def report(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction of the report limiter, which has its own permits."""

    async def write(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a write transaction, which is committed when this returns."""
