"""The greeting at the root."""

from fastapi import APIRouter

from app.api.http.problems import BodyTooLarge, InternalError, UnsupportedContentEncoding
from app.api.openapi.error_responses import error_responses
from app.schemas.operations.root import Welcome

router = APIRouter(tags=["health"])


@router.get(
    "/",
    summary="Get the welcome message",
    responses=error_responses(BodyTooLarge, UnsupportedContentEncoding, InternalError),
)
async def get_welcome() -> Welcome:
    """The name of the service. The documentation is at `/docs`."""
    return Welcome()
