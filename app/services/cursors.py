"""Cursors: where a list goes on, as opaque text. What is added meanwhile moves no page."""

import base64
import binascii
import json

from app.services.errors import BadCursor

MAX_KEY = 2**32  # seconds until 2106, and more than any id


def cursor_behind(*keys: int) -> str:
    """The cursor of what comes behind the row with these sort keys."""
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


def keys_of(cursor: str, count: int) -> list[int]:
    """The sort keys in a cursor. Raises BadCursor unless it has that many."""
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        keys = None
    if not isinstance(keys, list) or len(keys) != count:
        raise BadCursor("Send the cursor as the Link header had it, with the same filters.")
    if any(type(key) is not int or not 0 <= key <= MAX_KEY for key in keys):
        raise BadCursor("Send the cursor as the Link header had it, with the same filters.")
    return keys
