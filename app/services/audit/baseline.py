"""Baseline events: they hold what the events of earlier versions do not, so that later changes by SQL are found."""

from contextlib import closing
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select

from app.core.database.session import Database, Session
from app.services.access import locks
from app.services.audit import recorder, verification
from app.services.audit.reconciliation import Reconciliation, Uncovered
from app.services.audit.recorder import ORGANISATION_CHAIN, SECRET_FIELDS
from app.services.audit.replay import BASELINE_VERB
from app.services.audit.stored_rows import AuditChainBroken


def find_uncovered(session: Session) -> list[Uncovered]:
    """Verify the audit log and the rows, and return the rows with values that no event holds, by owner.

    Raises AuditChainBroken for a broken link, or if a row differs. A baseline would make such a change look right.
    """
    rows: list[Uncovered] = []
    with closing(Reconciliation(session, on_uncovered=rows.append)) as reconciliation:
        verification.verify(session, [], on_progress=lambda done, total: None, reconciliation=reconciliation)
    if reconciliation.faults:
        raise AuditChainBroken(
            f"The rows differ from the audit log: {reconciliation.named_faults[0]} No baseline was written."
        )
    return sorted(rows, key=lambda row: row.owner)


def write_baseline(database: Database, rows: list[Uncovered], *, request_id: str, at: datetime) -> int:
    """Record the present values of these rows, one transaction for each owner. Returns the number of events.

    Each row is read again behind the lock of its owner, because the service may have changed it meanwhile.
    """
    written = 0
    for owner, of_owner in groupby(rows, key=lambda row: row.owner):
        with database.write_transaction(request_id) as session:
            if owner != ORGANISATION_CHAIN:
                locks.lock_users(session, owner)
            for row in of_owner:
                written += _record(session, row, at=at)
    return written


def _record(session: Session, uncovered: Uncovered, *, at: datetime) -> int:
    table = uncovered.key.table
    query = select(table).where(uncovered.key == uncovered.object_id)
    if uncovered.owner != ORGANISATION_CHAIN:
        query = query.where(table.c.get("user_id", uncovered.key) == uncovered.owner)
    row: Row[Any] | None = session.execute(query).one_or_none()
    if row is None:
        return 0
    values = {name: getattr(row, name) for name in uncovered.columns}
    recorder.record(
        session,
        f"{table.name}{BASELINE_VERB}",
        at=at,
        actor_id=None,
        subject_id=uncovered.owner or None,
        object_id=uncovered.object_id if isinstance(uncovered.object_id, int) else None,
        after={name: value for name, value in values.items() if name not in SECRET_FIELDS},
        secrets={name: value for name, value in values.items() if name in SECRET_FIELDS},
    )
    return 1
