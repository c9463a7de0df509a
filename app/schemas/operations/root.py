"""The greeting."""

from typing import Literal

from app.schemas.types import Answer


class Welcome(Answer):
    message: Literal["Welcome to the Employee Time Tracking API"] = "Welcome to the Employee Time Tracking API"
