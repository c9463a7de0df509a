"""CSV import of users."""

from typing import Annotated

from pydantic import Field

from app.schemas.types import Email, ResponseModel
from app.schemas.users.user import NewUser

MAX_IMPORT_ROWS = 20_000


class ImportedUser(NewUser):
    """A row of the file. The manager's e-mail address names an existing user or another row."""

    manager_email: Email | None = None


class UserImportResult(ResponseModel):
    dry_run: Annotated[bool, Field(description="True if the file was only checked.", examples=[False])]
    users: Annotated[int, Field(ge=1, le=MAX_IMPORT_ROWS, description="Number of users in the file.", examples=[2])]
