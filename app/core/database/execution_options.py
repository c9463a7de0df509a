"""What a statement may ask of the engine that runs it, as execution options."""

SEND_FIRST = "send_first"
"""Execution option with SQL that PostgreSQL is to run before the statement, in the same round trip."""
PREPARE = "prepare"
"""Execution option of a statement that is built once: PostgreSQL plans it once for each connection, not each time."""
FETCH_SIZE = 1000
"""How many rows a statement whose rows are streamed fetches at once (`yield_per`)."""
