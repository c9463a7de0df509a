"""Responses of the health checks."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.schemas.types import ResponseModel


class HealthStatus(StrEnum):
    ok = "ok"


class Liveness(ResponseModel):
    status: HealthStatus = HealthStatus.ok
    service: Annotated[str, Field(max_length=64, examples=["employee-time-tracking-api"])]
    version: Annotated[str, Field(max_length=32, examples=["0.2.0"])]


class Readiness(Liveness):
    database: Annotated[str, Field(max_length=32, description="sqlite or postgresql.", examples=["sqlite"])]
    revision: Annotated[str, Field(max_length=64, description="Revision of the database schema.")]
