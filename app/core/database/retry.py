"""Retry transactions that PostgreSQL rolled back. Nothing was committed, so a retry is safe."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from psycopg2 import Error as PostgreSQLError
from sqlalchemy.exc import DBAPIError

from app.core.database.postgresql.engine import is_lock_not_available, is_retryable
from app.core.observability.logging import first_line
from app.core.time.clock import monotonic_seconds

MAX_RETRIES = 3
RETRY_DEADLINE_SECONDS = 2
"""Seconds after which no further retry begins."""
MAX_BACKOFF_SECONDS = 0.03
_Result = TypeVar("_Result")


def run_with_retry(transaction: Callable[[], _Result], *, lock_wait_seconds: float = 0) -> _Result:
    """Run a transaction, and retry it up to MAX_RETRIES times if PostgreSQL rolled it back.

    Retries follow a deadlock, a serialization failure, or a connection that was stale or lost before COMMIT. A random
    pause before each, in this thread, keeps two transactions from colliding again. Raises the last error.

    A transaction that did not get a lock is also retried, until `lock_wait_seconds` have passed. These are the seconds
    of the lock timeout, so it concerns only transactions with a shorter one (`Session.set_lock_timeout`).
    """
    started_at = monotonic_seconds()
    retries_left = MAX_RETRIES
    while True:
        try:
            return transaction()
        except DBAPIError as error:
            seconds = monotonic_seconds() - started_at
            if not is_lock_not_available(error):
                retries_left -= 1
                if retries_left < 0 or seconds > RETRY_DEADLINE_SECONDS or not _is_retryable(error):
                    raise
            elif seconds >= lock_wait_seconds:
                raise
            structlog.get_logger().info("transaction_retried", error=first_line(error.orig))
        time.sleep(random.uniform(0, MAX_BACKOFF_SECONDS))  # noqa: S311 - no secret


def _is_retryable(error: DBAPIError) -> bool:
    return isinstance(error.orig, PostgreSQLError) and is_retryable(error)
