"""Logging in."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.types import Answer


class Token(Answer):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"access_token": "eyJhbGciOi...", "token_type": "bearer", "expires_in": 1800}]}
    )

    access_token: Annotated[str, Field(max_length=2048)]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - no secret
    expires_in: Annotated[int, Field(ge=1, le=86_400, description="Seconds until the access token ends.")]
