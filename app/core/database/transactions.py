"""Protocols of what runs services in transactions, for services that need several, or work between them.

`await tx.write(service, a, b=c)` runs `service(session, a, b=c)` in one transaction, or `service(session, caller, a,
b=c)` where somebody is calling. It may run it again (see retry.py), so a service does nothing but ask the session.
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
    """Runs services that get the session in front."""

    async def read(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""

    async def write(self, service: Service[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed when this returns."""


class CallerTransactionRunner(Protocol[_Caller_co]):
    """Runs services that get the session in front, and behind it the caller: found out anew in each transaction."""

    async def read(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction."""

    async def report(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a read-only transaction that may take its time."""

    async def write(self, service: CallerService[_Caller_co, P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run the service in a writing transaction, which is committed when this returns."""
