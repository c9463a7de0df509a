"""Liveness and readiness checks."""

import structlog
from fastapi import APIRouter

from app import __version__
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep
from app.api.http.problems import BodyTooLarge, InternalError, UnsupportedContentEncoding
from app.api.openapi.error_responses import error_responses
from app.core.database.migrations import current_revisions, is_behind_head
from app.core.database.session import DatabaseUnavailable, ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.disk_space import find_low_space
from app.models.metadata import own_tables, required_privileges
from app.schemas.operations.health import Liveness, Readiness
from app.services.audit.keys import AuditKeyUnknown, check_newest_keys
from app.services.calendar.periods import find_unknown_zones
from app.services.operations.schema_check import find_missing_rows

SERVICE_NAME = "employee-time-tracking-api"
ANY_REQUEST_ERRORS = (BodyTooLarge, UnsupportedContentEncoding, InternalError)
READINESS_ERRORS = (ServiceBusy, DatabaseUnavailable, AuditKeyUnknown)
router = APIRouter(prefix="/health", tags=["health"])
_log = structlog.get_logger()


class SchemaOutdated(Unavailable):
    code = "schema_outdated"
    title = "Database schema outdated"
    retry_after_seconds = 10


class DiskSpaceLow(Unavailable):
    code = "disk_space_low"
    title = "Disk space low"
    retry_after_seconds = 60


@router.get("/live", summary="Check liveness", responses=error_responses(*ANY_REQUEST_ERRORS))
async def get_liveness() -> Liveness:
    """Return 200 if the process runs. The database is not checked. Restart the process only if this check fails."""
    return Liveness(service=SERVICE_NAME, version=__version__)


@router.get(
    "/ready",
    summary="Check readiness",
    responses=error_responses(*ANY_REQUEST_ERRORS, *READINESS_ERRORS, SchemaOutdated, DiskSpaceLow),
)
async def get_readiness(tx: AnonymousTransaction, client: ClientDep) -> Readiness:
    """Return 200 if the database is reachable and grants the service what it needs, its schema is recent enough, disk
    space is left and the keys of the newest audit events are known.

    A newer schema is accepted, because in a rolling upgrade the old workers serve requests until they are replaced.
    """
    tx.share_permits(f"readiness for {client.network}")
    return await tx.read(_readiness)


def _readiness(session: Session) -> Readiness:
    revisions = ", ".join(sorted(check_ready(session)))
    return Readiness(
        service=SERVICE_NAME, version=__version__, database=session.settings.database_kind, revision=revisions
    )


def check_ready(session: Session) -> set[str]:
    """Return the database's revisions if the service can run on it.

    Raises DiskSpaceLow, SchemaOutdated, DatabaseUnavailable, AuditKeyUnknown. Raises DBAPIError if the database is
    read-only.
    """
    if low_volumes := find_low_space(session.settings):
        volumes = ", ".join(low_volumes)
        raise DiskSpaceLow(f"Free disk space is below MIN_FREE_DISK_MB for: {volumes}. Free some space.")
    revisions = current_revisions(session.connection())
    if is_behind_head(revisions):
        raise SchemaOutdated(
            f"The database schema is at {', '.join(revisions) or 'no revision'}. Run: python -m app.cli migrate"
        )
    session.check_writable()
    if hidden := session.find_hidden_tables(own_tables()):
        _log.error("database_table_hidden", hidden=" ".join(hidden))
        raise DatabaseUnavailable("Another relation hides a table of the service. The log names it.")
    if missing := session.find_missing_privileges(required_privileges()):
        _log.error("database_privilege_missing", missing=", ".join(missing))
        raise DatabaseUnavailable("The service's database role lacks privileges. The log names them.")
    if missing_rows := find_missing_rows(session):
        _log.error("database_row_missing", missing=" ".join(missing_rows))
        raise DatabaseUnavailable("A row that the service locks is missing. The log names it.")
    if unknown_zones := find_unknown_zones(session):
        _log.warning("time_zone_unknown", names=", ".join(unknown_zones))
    if warning := check_newest_keys(session):
        _log.warning("audit_key_unknown", detail=warning)
    return revisions
