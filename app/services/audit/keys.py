"""The check at the start, and in the readiness check, that this process has the keys of the newest audit events."""

from sqlalchemy import select

from app.core.database.session import Session
from app.core.errors import Unavailable
from app.models.tables import AUDIT_EVENT

NEWEST_EVENTS = 100
"""Number of events whose keys are compared. While `AUDIT_KEY` is changed in a rolling upgrade, old workers do not know
the new key. They stay ready as long as one of these events has their own key."""
_NEWEST_KEYS = (
    select(AUDIT_EVENT.c.key_id)
    .order_by(AUDIT_EVENT.c.at.desc(), AUDIT_EVENT.c.chain_id.desc(), AUDIT_EVENT.c.position.desc())
    .limit(NEWEST_EVENTS)
)


class AuditKeyUnknown(Unavailable):
    code = "audit_key_unknown"
    title = "Audit key unknown"
    retry_after_seconds = 60


def check_newest_keys(session: Session) -> str | None:
    """Return a warning if a key of the newest events is not in the settings, or None.

    Raises AuditKeyUnknown if none of their keys is. This process would chain events with a key that the other workers
    do not have, and `verify-audit` could not verify the past events. It does not generate the key that is missing.
    """
    newest = set(session.execute(_NEWEST_KEYS).scalars())
    if newest and session.keyring.is_audit_key_missing:
        raise AuditKeyUnknown(
            f"The key of the audit events is missing: {session.keyring.key_file} does not exist. Set SECRET_KEY, or "
            "copy the file from the folder in which the service was started before."
        )
    keys = session.keyring.audit_keys
    unknown = sorted(key_id for key_id in newest if key_id not in keys)
    if not unknown:
        return None
    problem = (
        f"The newest audit events were chained with another key ({', '.join(unknown)}). Set the same AUDIT_KEY for all "
        "servers. If it was changed, add the former AUDIT_KEY, or else SECRET_KEY, to AUDIT_PREVIOUS_KEYS."
    )
    if len(unknown) == len(newest):
        raise AuditKeyUnknown(problem)
    return problem
