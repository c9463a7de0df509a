"""Entries of one user that overlap, found without the index of the exclusion constraint.

A row that is missing from that index is not compared by the constraint, so another entry can overlap it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from app.models.tables import ENTRY

_ALWAYS, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class OverlapFinder:
    """Finder of overlaps in rows that come by user and start. It keeps the entry with the latest end so far."""

    def __init__(self) -> None:
        self._owner: Any = None
        self._latest_id: Any = None
        self._latest_end = _ALWAYS

    def find(self, owner: Any, entry: Row[Any]) -> str | None:
        """Return one sentence if the entry overlaps an earlier one. An open entry ends never.

        As in the constraint, an entry without length overlaps nothing.
        """
        if owner != self._owner:
            self._owner, self._latest_end = owner, _ALWAYS
        end = entry.end_time or _NEVER
        if end <= entry.start_time:
            return None
        earlier_id, earlier_end = self._latest_id, self._latest_end
        if end > earlier_end:
            self._latest_id, self._latest_end = entry.id, end
        if entry.start_time >= earlier_end:
            return None
        return f"{ENTRY.name} {earlier_id} and {entry.id} of user {owner} overlap."
