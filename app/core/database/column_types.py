"""Column types that behave alike on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from operator import index
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class Instant(TypeDecorator[datetime]):
    """A UTC instant in whole seconds: `timestamptz` on PostgreSQL, seconds since 1970 on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None or value.microsecond:
            raise ValueError("An instant must have a time zone and no fraction of a second.")
        return int(value.timestamp()) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromtimestamp(index(value), UTC)  # rejects a fraction: SQLite does not enforce types
        stored: datetime = value
        return stored.astimezone(UTC)


class WallTime(TypeDecorator[datetime]):
    """Local time without a zone. It is computed in statements and never stored.

    `timestamp` on PostgreSQL. On SQLite, the seconds since 1970 at which UTC shows the same date and time.
    """

    impl = DateTime(timezone=False)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=False))

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            stored: datetime | None = value
            return stored
        return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
