"""Execution options of statements, and the fetch size."""

SEND_FIRST = "send_first"
"""Execution option with SQL that is sent to PostgreSQL in front of the statement, in the same round trip."""
PREPARE = "prepare"
"""Execution option for a prepared statement: PostgreSQL parses and plans it once per connection."""
FETCH_SIZE = 1000
"""Number of rows fetched at once from a streamed result (`yield_per`)."""
