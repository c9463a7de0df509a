"""Whether the process lives, and whether it can serve."""

from fastapi import APIRouter

from app import __version__
from app.api.dependencies.parameters import AnonymousTransaction
from app.api.http.problems import BodyTooLarge, InternalError, UnsupportedContentEncoding, error_responses
from app.core.database.migrations import current_revisions, is_behind_head
from app.core.database.session import DatabaseUnavailable, ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.disk_space import find_low_space
from app.schemas.operations.health import Liveness, Readiness

SERVICE_NAME = "employee-time-tracking-api"
ANY_REQUEST_ERRORS = (BodyTooLarge, UnsupportedContentEncoding, InternalError)
router = APIRouter(prefix="/health", tags=["health"])


class SchemaOutdated(Unavailable):
    code = "schema_outdated"
    title = "Database schema outdated"
    retry_after_seconds = 10


class DiskSpaceLow(Unavailable):
    code = "disk_space_low"
    title = "Disk space low"
    retry_after_seconds = 60


@router.get("/live", summary="Is the process alive", responses=error_responses(*ANY_REQUEST_ERRORS))
async def get_liveness() -> Liveness:
    """Answers without looking at the database: restart the process when this fails, and only then."""
    return Liveness(service=SERVICE_NAME, version=__version__)


@router.get(
    "/ready",
    summary="Can it serve",
    responses=error_responses(*ANY_REQUEST_ERRORS, ServiceBusy, DatabaseUnavailable, SchemaOutdated, DiskSpaceLow),
)
async def get_readiness(tx: AnonymousTransaction) -> Readiness:
    """The database answers, its schema is not older than this version needs, and there is room on the disk.

    A newer schema is no reason to turn requests away: in a rolling upgrade, old workers serve on it until they are
    replaced.
    """
    return await tx.read(_readiness)


def _readiness(session: Session) -> Readiness:
    revisions = ", ".join(sorted(check_ready(session)))
    return Readiness(
        service=SERVICE_NAME, version=__version__, database=session.settings.database_kind, revision=revisions
    )


def check_ready(session: Session) -> set[str]:
    """The revisions of the database, where the service can work on it. Raises DiskScarce, WrongRevision."""
    if low_volumes := find_low_space(session.settings):
        raise DiskSpaceLow(f"Less than MIN_FREE_DISK_MB is left for: {', '.join(low_volumes)}. Make room.")
    revisions = current_revisions(session.connection())
    if is_behind_head(revisions):
        raise SchemaOutdated(
            f"The database is at {', '.join(revisions) or 'no revision'}. Run: python -m app.cli migrate"
        )
    return revisions
