"""The greeting at the root."""

from fastapi import APIRouter

from app.api.http.problems import BodyTooLarge, InternalError, UnsupportedContentEncoding, error_responses
from app.schemas.operations.root import Welcome

router = APIRouter(tags=["health"])


@router.get("/", summary="Welcome", responses=error_responses(BodyTooLarge, UnsupportedContentEncoding, InternalError))
async def get_welcome() -> Welcome:
    """Says whose address this is. The operations are described at `/docs`."""
    return Welcome()
