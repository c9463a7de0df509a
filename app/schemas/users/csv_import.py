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
YES, NO = "yes", "no"
"""Values of is_active in an export. A spreadsheet would turn true into its own language's word."""
_FLAGS = {YES: True, "true": True, "1": True, NO: False, "false": False, "0": False}


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


def _parse_flag(cell: object) -> object:
    if cell is None:
        return True
    if (flag := _FLAGS.get(str(_fold(cell)))) is None:
        raise ValueError("Write yes or no, or leave the cell empty for yes.")
    return flag


CellName = Annotated[UserNamePart, BeforeValidator(_remove_controls)]


class ImportedUser(NewUser):
    """A row of the file. The manager's e-mail address names an existing user or another row.

    A manager in another row may have left: a deactivated manager keeps the team until it is reassigned.
    """

    first_name: CellName
    last_name: CellName
    role: Annotated[RoleField, BeforeValidator(_fold)]
    time_zone: Annotated[TimeZoneName | None, BeforeValidator(_find_zone)] = None
    manager_email: Email | None = None
    is_active: Annotated[bool, BeforeValidator(_parse_flag)] = True


class UserImportResult(ResponseModel):
    dry_run: Annotated[bool, Field(description="True if the file was only checked.", examples=[False])]
    users: Annotated[int, Field(ge=1, le=MAX_IMPORT_ROWS, description="Number of users in the file.", examples=[2])]
