"""The start of the service, before it serves: the same for `run_backend.py` and for `app.main:app`."""

from datetime import datetime

from app.core.config.settings import DEFAULT_ADMIN_PASSWORD, Settings
from app.core.database.migrations import ensure_schema, open_database
from app.models.metadata import all_tables
from app.services.users import first_admin


def prepare(settings: Settings, *, at: datetime) -> str | None:
    """Make the signing key, the schema and the first admin where they are missing and may be made here.

    Returns a warning for the operator, or None. Raises InvalidSettings and UnusableDatabase.
    """
    with open_database(settings) as database:
        _ = database.keyring.signing_key  # read now: a worker that couldn't would say so in a traceback
        ensure_schema(database, all_tables())
        with database.write_transaction("start:first-admin") as session:
            created = first_admin.ensure(session, at=at)
    if created is None or settings.FIRST_ADMIN_PASSWORD.get_secret_value() != DEFAULT_ADMIN_PASSWORD:
        return None
    return (
        f"created admin {created.email} with the password {DEFAULT_ADMIN_PASSWORD}. "
        "Change it before anyone else can reach this service."
    )
