"""The user on whose behalf a service function acts."""

from dataclasses import dataclass

from app.models.users import Role


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who acts, with what the rules ask of them; `session_id` is None for who shows an API token."""

    id: int
    role: Role
    time_zone: str
    session_id: int | None = None
