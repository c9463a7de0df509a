"""People as a file brings them in."""

from typing import Annotated

from pydantic import Field

from app.schemas.types import Answer, Email
from app.schemas.users.user import NewPerson

MAX_PEOPLE = 20_000


class ImportedPerson(NewPerson):
    """A row of the file. It names the manager by e-mail: somebody who is there already, or another row."""

    manager_email: Email | None = None


class ImportResult(Answer):
    dry_run: Annotated[bool, Field(description="True where the file was only checked.", examples=[False])]
    users: Annotated[int, Field(ge=1, le=MAX_PEOPLE, description="Number of users in the file.", examples=[2])]
