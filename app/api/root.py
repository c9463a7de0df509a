"""The greeting at the root."""

from fastapi import APIRouter

from app.api.problems import InternalError, raises
from app.schemas.root import Welcome

router = APIRouter(tags=["health"])


@router.get("/", summary="Welcome", responses=raises(InternalError))
async def read_root() -> Welcome:
    """Says whose address this is. The operations are described at `/docs`."""
    return Welcome()
