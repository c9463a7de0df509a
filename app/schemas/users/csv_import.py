"""CSV import of users."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from app.core.text import remove_format_controls
from app.schemas.types import ONE_LINE, Email, ResponseModel, UserNamePart
from app.schemas.users.user import NewUser

MAX_IMPORT_ROWS = 20_000


def _remove_controls(cell: object) -> object:
    """Remove the format controls that version 0.9 accepted, so that its exports can be imported."""
    is_accepted = isinstance(cell, str) and re.fullmatch(ONE_LINE.expression, cell)
    return remove_format_controls(str(cell)) if is_accepted else cell


CellName = Annotated[UserNamePart, BeforeValidator(_remove_controls)]


class ImportedUser(NewUser):
    """A row of the file. The manager's e-mail address names an existing user or another row."""

    first_name: CellName
    last_name: CellName
    manager_email: Email | None = None


class UserImportResult(ResponseModel):
    dry_run: Annotated[bool, Field(description="True if the file was only checked.", examples=[False])]
    users: Annotated[int, Field(ge=1, le=MAX_IMPORT_ROWS, description="Number of users in the file.", examples=[2])]
