"""The latest expiry of a login session that its events and the settings allow."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from app.core.config.settings import MAX_IDLE_DAYS, MAX_SESSION_DAYS, Settings
from app.services.audit.recorder import Fields


def is_prolonged(row: Row[Any], state: Fields, settings: Settings) -> bool:
    """Return True if a row of login_session expires later than a login and a refresh could have set.

    The limits are those at the login, which the event holds, or the present ones. An event up to version 0.10 holds
    none, so that any allowed ones may have been in use. The last refresh has no event. It is taken from the row.
    """
    idle_days = max(state.get("idle_days", MAX_IDLE_DAYS), settings.REFRESH_TOKEN_EXPIRE_DAYS)
    all_days = max(state.get("max_days", MAX_SESSION_DAYS), settings.SESSION_MAX_DAYS)
    times: tuple[datetime, datetime, datetime] = (row.expires_at, row.refreshed_at, row.created_at)
    expires_at, refreshed_at, created_at = times
    return expires_at - refreshed_at > timedelta(days=idle_days) or expires_at - created_at > timedelta(days=all_days)
