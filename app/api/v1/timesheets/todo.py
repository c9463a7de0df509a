"""The to-do list over the hours in sight."""

from typing import Annotated

from fastapi import APIRouter, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import Now, set_as_of
from app.api.dependencies.report_parameters import IncludeIndirect
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.timesheets.todo import Todo
from app.services.timesheets import todo

router = APIRouter(prefix="/reports", tags=["reports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]


@router.get("/todo", summary="Get the to-do list", responses=error_responses(*AUTH_ERRORS))
async def get_todo(
    tx: UserTransaction, now: Now, response: Response, include_indirect: IncludeIndirect = False
) -> Todo:
    """Entries that run for too long or need review, periods to submit, and timesheets that you decide on.

    You see your own and those of your direct reports. With `include_indirect`, you see those of all whom you may see.
    """
    found = await tx.report(todo.load, include_indirect=include_indirect, at=now)
    set_as_of(response, now)
    return found
