"""Clocking in."""

from app.schemas.types import Description, Id, RequestModel


class ClockIn(RequestModel):
    project_id: Id
    description: Description = ""
