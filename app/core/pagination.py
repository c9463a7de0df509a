"""Cursors: where a list goes on, as opaque text. What is added meanwhile moves no page."""

import base64
import binascii
import json

from app.core.errors import Invalid

MAX_KEY = 2**32  # seconds until 2106, and more than any person's id
MAX_LAST_KEY = 2**53  # an entry's id, or a place in a chain


class InvalidCursor(Invalid):
    code = "invalid_cursor"
    title = "Invalid cursor"


def encode_cursor(*keys: int) -> str:
    """The cursor of what comes behind the row with these sort keys."""
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, count: int) -> list[int]:
    """The sort keys in a cursor, of which the last tells equals apart. Raises InvalidCursor unless it has that many."""
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        keys = None
    if not isinstance(keys, list) or len(keys) != count:
        raise InvalidCursor("Send the cursor as the Link header had it, with the same filters.")
    limits = [*[MAX_KEY] * (count - 1), MAX_LAST_KEY]
    if any(type(key) is not int or not 0 <= key <= limit for key, limit in zip(keys, limits, strict=True)):
        raise InvalidCursor("Send the cursor as the Link header had it, with the same filters.")
    return keys
