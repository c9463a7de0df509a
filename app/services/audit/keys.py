"""The check at the start, and in the readiness check, that this process has the keys of the newest audit events."""

from sqlalchemy import select

from app.core.config.settings import Environment
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

    Raises AuditKeyUnknown in production if none of their keys is. This process would chain events with a key that the
    other workers do not have, and `verify-audit` could not verify the past events.
    """
    keys = session.keyring.audit_keys
    newest = set(session.execute(_NEWEST_KEYS).scalars())
    unknown = sorted(key_id for key_id in newest if key_id not in keys)
    if not unknown:
        return None
    problem = (
        f"The newest audit events were chained with another key ({', '.join(unknown)}). Set the same AUDIT_KEY for all "
        "servers. If it was changed, add the former AUDIT_KEY, or else SECRET_KEY, to AUDIT_PREVIOUS_KEYS."
    )
    if len(unknown) == len(newest) and session.settings.ENVIRONMENT is Environment.production:
        raise AuditKeyUnknown(problem)
    return problem
