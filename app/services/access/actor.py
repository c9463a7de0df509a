"""The user on whose behalf a service function acts."""

from dataclasses import dataclass

from app.models.users import Role


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
