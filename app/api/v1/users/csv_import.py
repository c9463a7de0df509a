"""CSV import and export of users, for admins."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from app.api.dependencies.authentication import AdminTransaction
from app.api.dependencies.parameters import Now
from app.api.dependencies.report_parameters import CsvDialectQuery
from app.api.dependencies.streaming import stream_response
from app.api.http.problems import CsvRequired, ValidationFailed
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import EXPORT_ERRORS, ROLE_ERRORS
from app.core.spreadsheet import CsvDialect
from app.schemas.csv_dialect import CsvDialectName
from app.schemas.users.csv_import import MAX_IMPORT_ROWS, UserImportResult
from app.services.access.authentication import check_caller
from app.services.users import csv_cells, csv_import
from app.services.users.csv_cells import COLUMNS, MAX_FILE_BYTES
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
                "description": "A CSV file in UTF-8 with commas, semicolons or tabs, "
                f"and at most {MAX_IMPORT_ROWS} users. "
                f"The header has the columns {', '.join(COLUMNS)} in any order. "
                "Case and outer blanks do not matter in the header, roles and time zones, "
                "nor do separators of words in the header. Blank lines are skipped. "
                "The last three may be empty, for no manager, the server's default time zone, and an active user. "
                "is_active is yes or no, and may be missing in the header.",
            },
            "example": f"{','.join(COLUMNS)}\r\n"
            "mia@example.net,Mia,Meyer,manager,,Europe/Berlin,yes\r\n"
            "ben@example.net,Ben,Becker,employee,mia@example.net,,\r\n",
        }
    },
}


@router.post(
    "/import",
    summary="Import users",
    responses=error_responses(*ROLE_ERRORS, CsvRequired, ImportRefused, EmailTaken),
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_users(
    request: Request,
    tx: AdminTransaction,
    now: Now,
    dry_run: Annotated[bool, Query(description="Check the file only. Nothing is written.")] = False,
) -> UserImportResult:
    """Create all users of a CSV file, or none. If any row is invalid, the error response lists the first 100 errors by
    line and column in `errors`, and their number in `error_count`.

    A manager is an existing user or a user in the file, in any order, and is referenced by e-mail address. The new
    users have no password. The export writes an apostrophe before text that a spreadsheet could run as a formula. The
    import removes it.

    For the rate limit each line counts as one request, but a file never as more than one minute's requests.
    """
    await tx.read(check_caller)  # before the file is read
    content = await _read_csv_body(request)
    tx.count_operations(csv_cells.count_lines(content))
    return await csv_import.import_people(tx, content, dry_run=dry_run, at=now)


@router.get(
    "/export/csv",
    summary="Export users",
    response_class=StreamingResponse,
    responses=error_responses(*ROLE_ERRORS, *EXPORT_ERRORS)
    | {
        200: {
            "description": "One row for each user who is not erased, sorted by id, streamed.",
            "content": {"text/csv": {"schema": {"type": "string", "maxLength": 2**53}}},
        }
    },
)
async def export_users(
    tx: AdminTransaction,
    now: Now,
    dialect: CsvDialectQuery = CsvDialectName.excel,
) -> StreamingResponse:
    """All users, active or deactivated, as a CSV file in the format of the import. Erased users are left out."""
    csv_dialect = CsvDialect(dialect is CsvDialectName.excel)
    return await stream_response(
        tx,
        lambda session, actor: csv_import.record_export(session, actor, at=now),
        lambda session, _, out: csv_import.write_csv(session, out, csv_dialect),
        media_type="text/csv; charset=utf-8",
        file_name="users.csv",
    )


async def _read_csv_body(request: Request) -> bytes:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise CsvRequired("The Content-Type is not text/csv. Send the CSV file itself as the body, in UTF-8.")
    try:
        return b"".join([chunk async for chunk in request.stream()])
    except ClientDisconnect as error:
        raise ValidationFailed("The request body is incomplete. Send the whole file.") from error
