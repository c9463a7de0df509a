"""Capture of the SQL statements of a request."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Engine, event


def capture_statements(server: Any) -> AbstractContextManager[list[str]]:
    """Collect the statements of requests during the block. PRAGMA is left out, because new connections send it."""
    return capture_statements_of(server.app.state.runtime.database.engine)


@contextmanager
def capture_statements_of(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements on an engine during the block, without PRAGMA."""
    statements: list[str] = []

    def append_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("PRAGMA"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", append_statement)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", append_statement)
