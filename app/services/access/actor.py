"""The user on whose behalf a service function acts, and the user on whom it acts."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Row

from app.models.users import Role, User

UserRow: TypeAlias = User | Row[Any]
"""A user on whom an admin acts, as an object or as a row with the same columns."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated user, with the attributes that authorization needs.

    `session_id` is the id of the login session. It is None if the request carries an API token.
    """

    id: int
    role: Role
    time_zone: str
    session_id: int | None = None

    @property
    def uses_api_token(self) -> bool:
        return self.session_id is None
