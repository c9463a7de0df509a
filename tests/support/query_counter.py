"""Capture of the SQL statements of a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event


@contextmanager
def capture_statements(server: Any) -> Iterator[list[str]]:
    """Collect the statements of requests during the block. PRAGMA is left out, because new connections send it."""
    statements: list[str] = []

    def append_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("PRAGMA"):
            statements.append(statement)

    engine = server.app.state.runtime.database.engine
    event.listen(engine, "before_cursor_execute", append_statement)
    yield statements
    event.remove(engine, "before_cursor_execute", append_statement)
