"""People in and out as CSV, for admins."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from app.api.dependencies.authentication import AdminTransaction
from app.api.dependencies.parameters import Now
from app.api.dependencies.streaming import stream_response
from app.api.http.problems import CsvRequired, ValidationFailed, error_responses
from app.api.v1.shared_errors import EXPORT_ERRORS, ROLE_ERRORS
from app.schemas.users.csv_import import MAX_IMPORT_ROWS, UserImportResult
from app.services.access.authentication import check_caller
from app.services.users import csv_import
from app.services.users.csv_format import COLUMNS, MAX_FILE_BYTES
from app.services.users.errors import EmailTaken, ImportRefused

router = APIRouter(prefix="/admin/users", tags=["admin: users"])
IMPORT_PATH = f"{router.prefix}/import"
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "text/csv": {
            "schema": {
                "type": "string",
                "maxLength": MAX_FILE_BYTES,
                "description": f"UTF-8, commas or semicolons, at most {MAX_IMPORT_ROWS} people. "
                "The header has the columns "
                f"{', '.join(COLUMNS)} in any order; the last two may be empty: no manager, the service's zone.",
            },
            "example": f"{','.join(COLUMNS)}\r\n"
            "mia@example.net,Mia,Meyer,manager,,Europe/Berlin\r\n"
            "ben@example.net,Ben,Becker,employee,mia@example.net,\r\n",
        }
    },
}


@router.post(
    "/import",
    summary="Import people",
    responses=error_responses(*ROLE_ERRORS, CsvRequired, ImportRefused, EmailTaken),
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_users(
    request: Request,
    tx: AdminTransaction,
    now: Now,
    dry_run: Annotated[bool, Query(description="Only check the file; nothing is written.")] = False,
) -> UserImportResult:
    """Add everybody in a CSV file, or nobody: then `errors` names the first 100 faults by line and column, and
    `error_count` says how many there are.

    Managers are named by e-mail, in the file in any order or among those who are there. People have no password yet.
    An apostrophe in front of what a spreadsheet would take for a formula is dropped, as the export puts it there.
    """
    await tx.read(check_caller)  # nobody else makes us read a file
    return await csv_import.import_people(tx, await _read_csv_body(request), dry_run=dry_run, at=now)


@router.get(
    "/export/csv",
    summary="People as CSV",
    response_class=StreamingResponse,
    responses=error_responses(*ROLE_ERRORS, *EXPORT_ERRORS)
    | {
        200: {
            "description": "A row per person, by id; streamed.",
            "content": {"text/csv": {"schema": {"type": "string", "maxLength": 2**53}}},
        }
    },
)
async def export_users(tx: AdminTransaction, now: Now) -> StreamingResponse:
    """Everybody, active or not, as the file that an import takes."""
    return await stream_response(
        tx,
        lambda session, actor: csv_import.record_export(session, actor, at=now),
        lambda session, _, out: csv_import.write_csv(session, out),
        media_type="text/csv; charset=utf-8",
        file_name="people.csv",
    )


async def _read_csv_body(request: Request) -> bytes:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise CsvRequired("Send the file itself as the body, as text/csv in UTF-8.")
    try:
        return b"".join([chunk async for chunk in request.stream()])
    except ClientDisconnect as error:
        raise ValidationFailed("The body ends too early. Send the whole file.") from error
