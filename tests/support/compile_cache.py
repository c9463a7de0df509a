"""SQL compiled once a process: SQLAlchemy keeps it with its engine, and every test has two of its own."""

from typing import Any

from sqlalchemy import Connection, Engine, event


class _SharedCache(dict[Any, Any]):
    """What SQLAlchemy compiled, by its own key, in which any SQLite, or any PostgreSQL, is as good as another: all
    engines of one kind have the same options."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_shared_key(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_shared_key(key), compiled)


def _shared_key(key: Any) -> tuple[Any, ...]:
    dialect, *rest = key
    return (type(dialect), *rest)


_CACHE = _SharedCache()


def share_compiled_cache() -> None:
    """Let all engines of this process, from now on, use what one of them compiled."""
    event.listen(Engine, "engine_connect", _set_compiled_cache)


def _set_compiled_cache(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_CACHE)
