"""Whether the process lives, and whether it can serve."""

from fastapi import APIRouter

from app import __version__
from app.api.dependencies import SessionDep
from app.api.problems import BodyTooLarge, EncodedBody, InternalError, raises
from app.api.transactions import TransactionRoute
from app.core.db import DatabaseUnavailable, ServiceBusy
from app.core.errors import Unavailable
from app.core.migrations import head_revision, revisions_of
from app.schemas.health import Live, Ready

SERVICE = "employee-time-tracking-api"
OF_ANY = (BodyTooLarge, EncodedBody, InternalError)
router = APIRouter(prefix="/health", tags=["health"], route_class=TransactionRoute)


class WrongRevision(Unavailable):
    code = "wrong_revision"
    title = "The database's schema is not the one this version needs"
    retry_after_seconds = 10


@router.get("/live", summary="Is the process alive", responses=raises(*OF_ANY))
async def read_live() -> Live:
    """Answers without looking at the database: restart the process when this fails, and only then."""
    return Live(service=SERVICE, version=__version__)


@router.get(
    "/ready",
    summary="Can it serve",
    responses=raises(*OF_ANY, ServiceBusy, DatabaseUnavailable, WrongRevision),
)
def read_ready(session: SessionDep) -> Ready:
    """The database answers and has the revision this version needs."""
    found = revisions_of(session.connection())
    if found != {head_revision()}:
        raise WrongRevision(f"The database is at {', '.join(found) or 'no revision'}. Run: python -m app.cli migrate")
    return Ready(
        service=SERVICE, version=__version__, database=session.get_bind().dialect.name, revision=head_revision()
    )
