"""Settings that were renamed."""

from typing import Any

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
