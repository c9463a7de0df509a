"""Whether the process lives, and whether it can serve."""

from fastapi import APIRouter

from app import __version__
from app.api.dependencies.parameters import TransactionsDep
from app.api.http.problems import BodyTooLarge, EncodedBody, InternalError, raises
from app.core.database.migrations import is_too_old, revisions_of
from app.core.database.session import DatabaseUnavailable, ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.disk_space import scarce
from app.schemas.operations.health import Live, Ready

SERVICE = "employee-time-tracking-api"
OF_ANY = (BodyTooLarge, EncodedBody, InternalError)
router = APIRouter(prefix="/health", tags=["health"])


class WrongRevision(Unavailable):
    code = "schema_outdated"
    title = "Database schema outdated"
    retry_after_seconds = 10


class DiskScarce(Unavailable):
    code = "disk_space_low"
    title = "Disk space low"
    retry_after_seconds = 60


@router.get("/live", summary="Is the process alive", responses=raises(*OF_ANY))
async def read_live() -> Live:
    """Answers without looking at the database: restart the process when this fails, and only then."""
    return Live(service=SERVICE, version=__version__)


@router.get(
    "/ready",
    summary="Can it serve",
    responses=raises(*OF_ANY, ServiceBusy, DatabaseUnavailable, WrongRevision, DiskScarce),
)
async def read_ready(tx: TransactionsDep) -> Ready:
    """The database answers, its schema is not older than this version needs, and there is room on the disk.

    A newer schema is no reason to turn requests away: in a rolling upgrade, old workers serve on it until they are
    replaced.
    """
    return await tx.read(_ready)


def _ready(session: Session) -> Ready:
    found = ", ".join(sorted(check_ready(session)))
    return Ready(service=SERVICE, version=__version__, database=session.settings.database_kind, revision=found)


def check_ready(session: Session) -> set[str]:
    """The revisions of the database, where the service can work on it. Raises DiskScarce, WrongRevision."""
    if lacking := scarce(session.settings):
        raise DiskScarce(f"Less than MIN_FREE_DISK_MB is left for: {', '.join(lacking)}. Make room.")
    found = revisions_of(session.connection())
    if is_too_old(found):
        raise WrongRevision(f"The database is at {', '.join(found) or 'no revision'}. Run: python -m app.cli migrate")
    return found
