"""CSV import of users."""

import re
from functools import cache
from typing import Annotated

from pydantic import BeforeValidator, Field

from app.core.text import remove_format_controls
from app.core.time.zones import zone_names
from app.schemas.types import ONE_LINE, Email, ResponseModel, TimeZoneName, UserNamePart
from app.schemas.users.user import NewUser, RoleField

MAX_IMPORT_ROWS = 20_000


def _remove_controls(cell: object) -> object:
    """Remove the format controls that version 0.9 accepted, so that its exports can be imported."""
    is_accepted = isinstance(cell, str) and re.fullmatch(ONE_LINE.expression, cell)
    return remove_format_controls(str(cell)) if is_accepted else cell


def _fold(cell: object) -> object:
    """Return a word of a closed list as the list has it: people type it in any case, with blanks around it."""
    return cell.strip().casefold() if isinstance(cell, str) else cell


def _find_zone(cell: object) -> object:
    return _zones_by_folded_name().get(str(_fold(cell)), cell)


@cache
def _zones_by_folded_name() -> dict[str, str]:
    return {name.casefold(): name for name in zone_names()}


CellName = Annotated[UserNamePart, BeforeValidator(_remove_controls)]


class ImportedUser(NewUser):
    """A row of the file. The manager's e-mail address names an existing user or another row."""

    first_name: CellName
    last_name: CellName
    role: Annotated[RoleField, BeforeValidator(_fold)]
    time_zone: Annotated[TimeZoneName | None, BeforeValidator(_find_zone)] = None
    manager_email: Email | None = None


class UserImportResult(ResponseModel):
    dry_run: Annotated[bool, Field(description="True if the file was only checked.", examples=[False])]
    users: Annotated[int, Field(ge=1, le=MAX_IMPORT_ROWS, description="Number of users in the file.", examples=[2])]
