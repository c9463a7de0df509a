"""Whether a newer answer has all that an older one has, but for what no two answers share: instants, tokens, ids of
requests, and seconds that passed meanwhile."""

import json
import re
from typing import Any

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
DRAWN = {
    "request_id",
    "access_token",
    "refresh_token",
    "token",
    "url",
    "secret",
    "otpauth_uri",
    "qr_svg",
}
OF_THE_RELEASE = {"version", "revision"}
MEASURED = {"seconds", "elapsed_seconds", "total_seconds", "break_seconds", "hours", "total_hours"}
SECONDS = 60


def includes(newer: Any, older: Any, key: str = "") -> bool:
    """Every field of the older is in the newer, which may have more."""
    match older:
        case dict():
            return isinstance(newer, dict) and all(
                name in newer and includes(newer[name], value, name) for name, value in older.items()
            )
        case list():
            return (
                isinstance(newer, list)
                and len(newer) == len(older)
                and all(includes(*pair, key) for pair in zip(newer, older, strict=True))
            )
        case str() if isinstance(newer, str):
            return key in DRAWN | OF_THE_RELEASE or INSTANT.sub("", newer) == INSTANT.sub("", older)
        case int() | float() if isinstance(newer, int | float) and key in MEASURED:
            return abs(newer - older) < SECONDS
    return type(newer) is type(older) and newer == older


def content(answer: Any) -> Any:
    """The body, as far as it can be compared: JSON as what it says, CSV as it is, the rest that it is there."""
    kind = answer.headers.get("content-type", "")
    if "json" in kind and not kind.startswith("application/x-ndjson"):
        said = json.loads(answer.content) if answer.content else None
        return sorted(said, key=_in_its_chain) if _is_record(said) else said
    return answer.text if kind.startswith("text/csv") else bool(answer.content)


def _is_record(said: Any) -> bool:
    return isinstance(said, list) and bool(said) and isinstance(said[0], dict) and "position" in said[0]


def _in_its_chain(event: dict[str, Any]) -> tuple[int, int]:
    """The record is in the order of seconds, and what happened within one has none between chains."""
    return event["subject_id"] or 0, event["position"]
