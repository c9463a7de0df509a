"""Capture of the SQL statements of a request."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Engine, event


def capture_statements(server: Any) -> AbstractContextManager[list[str]]:
    """Collect the statements of reading requests during the block.

    Writes are left out, because the service notes the use of a login session in the background, at any time.
    """
    return capture_statements_of(server.app.state.runtime.database.engine, with_writes=False)


@contextmanager
def capture_statements_of(engine: Engine, *, with_writes: bool = True) -> Iterator[list[str]]:
    """Collect the statements on an engine during the block, without PRAGMA, which new connections send."""
    statements: list[str] = []

    def append_statement(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        is_write = connection.get_execution_options().get("writes", False)
        if not statement.startswith("PRAGMA") and (with_writes or not is_write):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", append_statement)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", append_statement)
