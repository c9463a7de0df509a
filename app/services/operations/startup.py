"""Preparation of the service before it accepts requests. `run_backend.py` and `app.main:app` share it."""

from datetime import datetime

from app.core.config.settings import DEFAULT_ADMIN_PASSWORD, Settings
from app.core.database.migrations import ensure_schema, open_database
from app.models.metadata import all_tables
from app.services.users import first_admin


def prepare(settings: Settings, *, at: datetime) -> str | None:
    """Create the signing key, the schema and the first admin if they are missing and the settings allow it.

    Returns a warning for the operator, or None. Raises InvalidSettings, UnusableDatabase.
    """
    with open_database(settings) as database:
        _ = database.keyring.signing_key  # read now, because in a worker process an error would be a traceback
        ensure_schema(database, all_tables())
        with database.write_transaction("start:first-admin") as session:
            created = first_admin.ensure(session, at=at)
    if created is None or settings.FIRST_ADMIN_PASSWORD.get_secret_value() != DEFAULT_ADMIN_PASSWORD:
        return None
    return (
        f"created admin {created.email} with the password {DEFAULT_ADMIN_PASSWORD}. "
        "Change it before others can reach this service."
    )
