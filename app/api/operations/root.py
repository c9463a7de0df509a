"""The greeting at the root."""

from fastapi import APIRouter

from app.api.http.problems import BodyTooLarge, EncodedBody, InternalError, raises
from app.schemas.operations.root import Welcome

router = APIRouter(tags=["health"])


@router.get("/", summary="Welcome", responses=raises(BodyTooLarge, EncodedBody, InternalError))
async def read_root() -> Welcome:
    """Says whose address this is. The operations are described at `/docs`."""
    return Welcome()
