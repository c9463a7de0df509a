"""Preparation of the service before it accepts requests. `run_backend.py` and `app.main:app` share it."""

from datetime import datetime

from app.core.config.settings import DEFAULT_ADMIN_PASSWORD, Environment, InvalidSettings, Settings
from app.core.database.migrations import (
    UnusableDatabase,
    current_revisions,
    ensure_schema,
    head_revision,
    open_database,
)
from app.core.database.session import Database, Session
from app.core.security.keyring import find_exposed_files
from app.models.metadata import all_tables, own_tables
from app.services.access import locks
from app.services.audit.keys import AuditKeyUnknown, check_newest_keys
from app.services.auth import second_factor
from app.services.calendar.periods import find_unknown_zones
from app.services.operations.schema_check import find_differences, find_missing_rows, find_unknown_wording
from app.services.users import first_admin


def prepare(settings: Settings, *, at: datetime) -> list[str]:
    """Create the signing key, the schema and the first admin if they are missing and the settings allow it.

    Returns warnings for the operator. Raises InvalidSettings, UnusableDatabase.
    """
    with open_database(settings) as database:
        ensure_schema(database, all_tables())
        warnings = _check_files(database)
        with database.read_transaction("start:schema") as session:
            warnings += _check_schema(session)
            warnings += [
                f"time_zone {zone} is not a time zone of this version." for zone in find_unknown_zones(session)
            ]
        with database.write_transaction("start:first-admin") as session:
            locks.lock_user_rules(session)  # the second of two concurrent first starts sees the event of the first
            warnings += _check_keys(session)
            created = first_admin.ensure(session, at=at)
    if created is not None and settings.FIRST_ADMIN_PASSWORD.get_secret_value() == DEFAULT_ADMIN_PASSWORD:
        warnings.append(
            f"created admin {created.email} with the password {DEFAULT_ADMIN_PASSWORD} in "
            f"{settings.redacted_database_url}. Change it before others can reach this service."
        )
    return warnings


def _check_schema(session: Session) -> list[str]:
    """Return a warning for each difference from the migrations. Raises UnusableDatabase in production.

    The schema of a newer version, during a rolling upgrade, is not compared, which is a warning too. A row that
    transactions lock is always needed, also in development.
    """
    if hidden := session.find_hidden_tables(own_tables()):
        raise UnusableDatabase(
            f"{' '.join(hidden)} Find out who did that, and correct search_path (docs/operations.md)."
        )
    if missing := find_missing_rows(session):
        raise UnusableDatabase(
            f"{' '.join(missing)} Find out who deleted it, and insert it again (docs/operations.md)."
        )
    if (revisions := current_revisions(session.connection())) != {head_revision()}:
        newer = ", ".join(sorted(revisions))
        return [f"The schema is at revision {newer} of a newer version, so it was not compared with the migrations."]
    differences = find_differences(session)
    if differences and session.settings.ENVIRONMENT is Environment.production:
        raise UnusableDatabase(
            f"The schema differs from what the migrations create. {' '.join(differences)} Find out who did that, and "
            "undo it."
        )
    return differences + find_unknown_wording(session)


def _check_files(database: Database) -> list[str]:
    settings, keyring = database.settings, database.keyring
    warnings = [
        f"{file} can be read or changed by other users of this machine. Run: chmod 600 {file}"
        for file in find_exposed_files(settings)
    ]
    if keyring.is_key_file_misplaced:
        warnings.append(
            f"SECRET_KEY_FILE is in the working directory. A start in another folder does not find it. Run: "
            f"cp -p {keyring.key_file} {settings.secret_key_file}"
        )
    return warnings


def _check_keys(session: Session) -> list[str]:
    """Return a warning for each key that was changed without its previous one. Raises InvalidSettings."""
    try:
        audit_warning = check_newest_keys(session)
    except AuditKeyUnknown as error:
        raise InvalidSettings(error.detail) from None
    _ = session.keyring.signing_key  # read now, because in a worker process an error would be a traceback
    warnings = [audit_warning, second_factor.find_unreadable(session)]
    return [warning for warning in warnings if warning is not None]
