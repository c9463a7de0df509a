"""SQL that SQLite and PostgreSQL write in different words."""

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Integer, cast, extract, func, type_coerce

from app.core.database.session import Session

_Time = TypeVar("_Time", datetime, int)


def unix_seconds(session: Session, instant: ColumnElement[Any]) -> ColumnElement[int]:
    """A stored instant as seconds since 1970, which both databases subtract and add up alike, and fast."""
    return seconds_of(instant, is_sqlite=session.settings.is_sqlite)


def seconds_of(instant: ColumnElement[Any], *, is_sqlite: bool) -> ColumnElement[int]:
    """`unix_seconds`, for a statement that is built once."""
    if is_sqlite:  # that's how it is stored there
        return type_coerce(instant, BigInteger)
    return cast(func.date_part("epoch", instant), BigInteger)  # extract is a numeric, and half as fast


def in_seconds(session: Session, length: ColumnElement[Any]) -> ColumnElement[int]:
    """Seconds, or what instants make that were subtracted, as whole seconds: to be asked for once, of the sum."""
    is_number = session.settings.is_sqlite or isinstance(length.type, Integer)
    return cast(length if is_number else extract("epoch", length), BigInteger)


def earliest(session: Session, one: ColumnElement[_Time], other: ColumnElement[Any]) -> ColumnElement[_Time]:
    """The earlier of two instants, or the smaller of two seconds."""
    return func.min(one, other) if session.settings.is_sqlite else func.least(one, other, type_=one.type)


def latest(session: Session, one: ColumnElement[_Time], other: ColumnElement[Any]) -> ColumnElement[_Time]:
    """The later of two instants, or the larger of two seconds."""
    return func.max(one, other) if session.settings.is_sqlite else func.greatest(one, other, type_=one.type)
