"""A process-wide cache of compiled SQL. SQLAlchemy caches per engine, and every test has two engines of its own."""

from typing import Any

from sqlalchemy import Connection, Engine, event


class _SharedCache(dict[Any, Any]):
    """Cache of compiled SQL whose keys treat all dialects of one kind as equal.

    All engines of one kind have the same options, so their compiled SQL is the same.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_shared_key(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_shared_key(key), compiled)


def _shared_key(key: Any) -> tuple[Any, ...]:
    dialect, *rest = key
    return (type(dialect), *rest)


_CACHE = _SharedCache()


def share_compiled_cache() -> None:
    """Share compiled SQL between all engines of this process that are created from now on."""
    event.listen(Engine, "engine_connect", _set_compiled_cache)


def _set_compiled_cache(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_CACHE)
