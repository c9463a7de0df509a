"""Comparison of the responses of two releases.

Values that always differ are ignored: instants, tokens, request ids, and elapsed seconds.
"""

import csv
import io
import json
import re
from typing import Any

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
RANDOM_FIELDS = {
    "request_id",
    "access_token",
    "refresh_token",
    "token",
    "url",
    "secret",
    "otpauth_uri",
    "qr_svg",
}
MAC_FIELDS = {"password_hash", "token_hash"}
"""Fields of audit events that 0.9 returns if this version wrote the event. This version leaves them out."""
RELEASE_FIELDS = {"version", "revision"}
TEXT_FIELDS = {"detail"}
"""Texts for people, which may change in every release. Clients decide by `code`."""
DURATION_FIELDS = {"seconds", "elapsed_seconds", "total_seconds", "break_seconds", "hours", "total_hours"}
MAX_DIFFERENCE_SECONDS = 60


def includes(newer: Any, older: Any, key: str = "") -> bool:
    """Return True if the newer response has every field of the older one. It may have more."""
    match older:
        case dict():
            return isinstance(newer, dict) and all(
                name in newer and includes(newer[name], value, name)
                for name, value in older.items()
                if name not in MAC_FIELDS
            )
        case list():
            return (
                isinstance(newer, list)
                and len(newer) == len(older)
                and all(includes(*pair, key) for pair in zip(newer, older, strict=True))
            )
        case str() if isinstance(newer, str):
            return key in RANDOM_FIELDS | RELEASE_FIELDS | TEXT_FIELDS or INSTANT.sub("", newer) == INSTANT.sub(
                "", older
            )
        case int() | float() if isinstance(newer, int | float) and key in DURATION_FIELDS:
            return abs(newer - older) < MAX_DIFFERENCE_SECONDS
    return type(newer) is type(older) and newer == older


def comparable_content(answer: Any) -> Any:
    """Return the comparable part of a response: parsed JSON, the rows of a CSV file, or else whether a body exists."""
    content_type = answer.headers.get("content-type", "")
    if content_type.partition(";")[0] in {"application/json", "application/problem+json"}:
        body = json.loads(answer.content) if answer.content else None
        return _comparable_events(body) if _is_audit_log(body) else body
    if content_type.startswith("text/csv"):
        return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    return bool(answer.content)


def _is_audit_log(body: Any) -> bool:
    return isinstance(body, list) and bool(body) and isinstance(body[0], dict) and "position" in body[0]


def _comparable_events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events without their positions, and without rejected logins: 0.10 records one of them in an hour."""
    compared = [event for event in sorted(events, key=_chain_position) if event["action"] != "login:refuse"]
    return [{name: value for name, value in event.items() if name != "position"} for event in compared]


def _chain_position(event: dict[str, Any]) -> tuple[int, int]:
    """Return a sort key for audit events, because events of different chains in the same second have no fixed order."""
    return event["subject_id"] or 0, event["position"]
