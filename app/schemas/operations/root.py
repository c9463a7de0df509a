"""The welcome message."""

from typing import Literal

from app.schemas.types import ResponseModel


class Welcome(ResponseModel):
    message: Literal["Welcome to the Employee Time Tracking API"] = "Welcome to the Employee Time Tracking API"
