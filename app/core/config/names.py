"""Names that are no settings: former names, and misspelled ones. Lines of `.env` that are none."""

import io
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

RENAMED = {
    "AUDIT_OLD_KEYS": "AUDIT_PREVIOUS_KEYS",
    "MUST_CHANGE_NEW_PASSWORDS": "REQUIRE_PASSWORD_CHANGE",
    "REPORTS_AT_ONCE": "MAX_CONCURRENT_REPORTS",
    "SEND_TIMEOUT_SECONDS": "RESPONSE_WRITE_TIMEOUT_SECONDS",
    "TOTP_OLD_KEYS": "TOTP_PREVIOUS_KEYS",
}
"""Old name to new name. All were renamed in version 0.9.0."""
MIN_SIMILARITY = 0.81
"""difflib's ratio of two names. `SMTP_USERNAME` and `SMTP_USER` are above it, `PGHOST` and `HOST` below."""
_NAME_AT_START = re.compile(r"\s*(?:export\s+|set\s+)?([\w-]+)")


def first_renamed(present: set[str], config: SettingsConfigDict) -> tuple[str, str] | None:
    """Return an old name that is set although its new name is not in `present`, and the new name. Else return None.

    Both names may be set, so that one `.env` serves both releases during a rolling upgrade.
    """
    fields: dict[str, Any] = dict.fromkeys(RENAMED, (str | None, None))
    former: type[BaseSettings] = create_model(
        "FormerSettings", __base__=type("Base", (BaseSettings,), {"model_config": config}), **fields
    )
    for old in former().model_fields_set:
        if RENAMED[old] not in present:
            return old, RENAMED[old]
    return None


def first_fault(settings: Collection[str], env_file: str, *, encoding: str) -> str | None:
    """Return what is wrong with the first line of `.env` whose setting would not be read. Else return None.

    That is a name close to the name of a setting, or a setting that is not written as NAME=value. Other lines are
    allowed, because other programs may read the file too. So are names with one word more, such as `APP_SECRET_KEY`.
    The environment is not searched, because it belongs to all programs.
    """
    if not Path(env_file).is_file():  # a folder of this name is a virtual environment
        return None
    try:
        lines = list(parse_stream(io.StringIO(Path(env_file).read_text(encoding))))
    except UnicodeDecodeError:
        return f"{env_file} is not encoded in UTF-8. Save it as UTF-8."
    except OSError as error:
        return f"{env_file} cannot be read: {error.strerror}."
    by_letters = {_letters(setting): setting for setting in settings}
    for line in lines:
        if line.error and (start := _NAME_AT_START.match(line.original.string)):
            if setting := by_letters.get(_letters(start[1])):
                number = line.original.line + start[0].count("\n")  # it begins with the blank lines before
                return f"{setting} in {env_file} is not set: line {number} is not written as NAME=value."
        elif line.key and (setting := _similar_setting(line.key, by_letters)):
            return f"{line.key} in {env_file} is not a setting. Did you mean {setting}?"
    return None


def _similar_setting(name: str, by_letters: Mapping[str, str]) -> str | None:
    """Return the setting that a name is meant for, or None if the name is that of a setting, or of something else."""
    settings, written = by_letters.values(), name.upper()
    if written in {*settings, *RENAMED}:
        return None
    same_length = [setting for setting in settings if setting.count("_") == name.count("_")]
    return by_letters.get(_letters(name)) or next(
        iter(get_close_matches(written, same_length, 1, MIN_SIMILARITY)), None
    )


def _letters(name: str) -> str:
    """Return a name without separators, because they are misplaced easily: DEFAULT_TIMEZONE, SECRET-KEY."""
    return re.sub("[^A-Z0-9]", "", name.upper())
