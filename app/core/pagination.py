"""Keyset pagination with opaque cursors, and the size of responses without pages.

Rows that are added between two pages do not shift the pages.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Column, Select

from app.core.errors import Invalid

MAX_ROWS_IN_MEMORY = 2_000
"""Number of rows up to which a response without pages is built in memory. A larger one is streamed from a file."""
MAX_OWN_ROWS = 500
"""The same for reads that use the permits of punches: own entries, the personal report and the history of an entry."""
MAX_KEY = 2**32  # seconds until 2106, and larger than any user id
MAX_LAST_KEY = 2**53  # an entry's id, or a position in a chain


class _WithId(Protocol):
    @property
    def id(self) -> Any: ...


_Row = TypeVar("_Row", bound=_WithId)
_Statement = TypeVar("_Statement", bound=Select[Any])


@dataclass(frozen=True, slots=True)
class PageRows(Generic[_Row]):
    """The rows of one page, the id of the last one if more rows follow, and the number of rows on all pages."""

    rows: Sequence[_Row]
    last_id: int | None
    total: int


@dataclass(frozen=True, slots=True)
class PageOfIds:
    """The part of a list sorted by id that a page shows: `limit` rows after the id `after`, or after `skip` rows.

    A row that leaves the list between two pages shifts the rows after it. So `skip` then misses one, but `after` not.
    """

    limit: int
    skip: int = 0
    after: int | None = None

    def select(self, statement: _Statement, id_column: Column[int]) -> _Statement:
        """Return the statement for the rows of the page, and one more row if there is another page."""
        if self.after is not None:
            statement = statement.where(id_column > self.after)
        return statement.order_by(id_column).offset(self.skip).limit(self.limit + 1)

    def cut(self, rows: Sequence[_Row], total: int) -> PageRows[_Row]:
        """Return the rows of `select` without the additional one."""
        page_rows = rows[: self.limit]
        return PageRows(page_rows, int(page_rows[-1].id) if len(rows) > self.limit else None, total)


class InvalidCursor(Invalid):
    code = "invalid_cursor"
    title = "Invalid cursor"


def encode_cursor(*keys: int) -> str:
    """Return the cursor for the rows after the row with these sort keys."""
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, count: int) -> list[int]:
    """Return the sort keys in a cursor. The last one is the tie-breaker.

    Raises InvalidCursor if the cursor is malformed or does not contain `count` keys.
    """
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        keys = None
    if not isinstance(keys, list) or len(keys) != count:
        raise InvalidCursor("The cursor is not valid. Send the cursor from the Link header, with the same filters.")
    limits = [*[MAX_KEY] * (count - 1), MAX_LAST_KEY]
    if any(type(key) is not int or not 0 <= key <= limit for key, limit in zip(keys, limits, strict=True)):
        raise InvalidCursor("The cursor is not valid. Send the cursor from the Link header, with the same filters.")
    return keys
