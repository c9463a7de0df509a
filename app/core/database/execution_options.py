"""Execution options of statements, and the fetch size."""

from collections.abc import Mapping, Sequence
from typing import Any

Statements = Sequence[tuple[str, Mapping[str, Any]]]
"""SQL statements with the values of their parameters, which are written as `%(name)s`."""
SEND_FIRST = "send_first"
"""Execution option with Statements that are sent to PostgreSQL in front of the statement, in the same round trip. They
are prepared statements."""
PREPARE = "prepare"
"""Execution option for a prepared statement: PostgreSQL parses and plans it once per connection."""
FETCH_SIZE = 1000
"""Number of rows fetched at once from a streamed result (`yield_per`)."""
