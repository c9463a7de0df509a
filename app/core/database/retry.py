"""A transaction that the database undid is done again: nobody who called is at fault, and nothing of it is there."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from psycopg2 import Error as PostgreSQLError
from sqlalchemy.exc import DBAPIError

from app.core.database.postgresql.engine import may_run_again
from app.core.observability.logging import first_line
from app.core.time.clock import monotonic_seconds

TIMES = 3
WITHIN_SECONDS = 2
"""After so long none is begun: whoever waits has waited enough."""
MAX_PAUSE_SECONDS = 0.03
_Answer = TypeVar("_Answer")


def again(transaction: Callable[[], _Answer]) -> _Answer:
    """Run a transaction, at most three times more where PostgreSQL undid it: a deadlock, a serialisation failure, a
    connection that was lost or out of date before its COMMIT. Raises what the last one raised.

    Waits a little before each, in this thread, so that those who met don't meet again.
    """
    begun_at = monotonic_seconds()
    for _ in range(TIMES):
        try:
            return transaction()
        except DBAPIError as error:
            if not _is_worth_it(error) or monotonic_seconds() - begun_at > WITHIN_SECONDS:
                raise
            structlog.get_logger().info("transaction_retried", error=first_line(error.orig))
        time.sleep(random.uniform(0, MAX_PAUSE_SECONDS))  # noqa: S311 - no secret
    return transaction()


def _is_worth_it(error: DBAPIError) -> bool:
    return isinstance(error.orig, PostgreSQLError) and may_run_again(error)
