"""Periods and digests of timesheets, computed day by day and independently of the service."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

DAY = timedelta(days=1)
Tile = tuple[date, date]
"""The first and the last day of a period."""


def begins_on(rules: Mapping[date, str], day: date) -> bool:
    """Return True if a period begins on this day. It must not be before the first rule."""
    since = max(valid_from for valid_from in rules if valid_from <= day)
    match rules[since]:
        case "week":
            return (day - since).days % 7 == 0
        case "two_weeks":
            return (day - since).days % 14 == 0
        case "half_month":
            return day == since or day.day in {1, 16}
        case _:
            return day == since or day.day == 1


def tile_of(rules: Mapping[date, str], day: date) -> Tile | None:
    """Return the period that contains the day, or None before the first rule."""
    if not rules or day < min(rules):
        return None
    first = last = day
    while not begins_on(rules, first):
        first -= DAY
    while not begins_on(rules, last + DAY):
        last += DAY
    return first, last


def tiles_between(rules: Mapping[date, str], start: date, end: date) -> list[Tile]:
    """Return the periods that touch these days, oldest first."""
    tiles = {tile_of(rules, start + n * DAY) for n in range((end - start).days + 1)}
    return sorted(tile for tile in tiles if tile is not None)


def digest_of(user_id: int, tile: Tile, entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of a period with these entries, which are as in the responses of the API."""
    names = ("id", "project_id", "start_time", "end_time", "time_zone", "description")
    ordered = sorted(entries, key=lambda entry: (entry["start_time"], entry["id"]))
    listed = [[entry[name] for name in names] for entry in ordered]
    content = [1, user_id, *map(str, tile), listed]
    return hashlib.sha256(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
