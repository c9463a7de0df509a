"""Names that are no settings: former names, and misspelled ones."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from dotenv import dotenv_values
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


def first_misspelled(settings: Collection[str], env_file: str, *, encoding: str) -> tuple[str, str] | None:
    """Return a name in `.env` that is close to the name of a setting, and that setting. Else return None.

    Other names are allowed, because other programs may read the file too. So are names with one word more, such as
    `APP_SECRET_KEY`. The environment is not searched, because it belongs to all programs.
    """
    for name in dotenv_values(env_file, encoding=encoding):
        if name.upper() in {*settings, *RENAMED}:
            continue
        same_length = [setting for setting in settings if setting.count("_") == name.count("_")]
        for similar in get_close_matches(name.upper(), same_length, n=1, cutoff=MIN_SIMILARITY):
            return name, similar
    return None
