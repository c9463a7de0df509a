"""What a punch sends."""

from app.schemas.types import Body, Description, Id


class ClockIn(Body):
    project_id: Id
    description: Description
