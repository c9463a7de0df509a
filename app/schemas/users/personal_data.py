"""Personal data: everything stored about a user."""

from typing import Annotated

from pydantic import Field

from app.schemas.audit import AuditAction, AuditEventRead, RequestId
from app.schemas.auth.api_token import ApiTokenRead
from app.schemas.auth.session import SessionRead
from app.schemas.projects import ProjectRead
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.timesheets.timesheet import Digest, StatusField, TimesheetVersion
from app.schemas.types import DayRead, EntryId, Id, ResponseModel, Seconds, UtcInstant
from app.schemas.users.user import AccountRead

Count = Annotated[int, Field(ge=0, le=2**53 - 1, examples=[3])]


class PersonalDataAction(ResponseModel):
    """An action of the user on another user or on a project. The changed values are not included, because they are not
    the user's personal data."""

    at: UtcInstant
    action: AuditAction
    object_type: Annotated[str, Field(max_length=32)]
    object_id: EntryId | None
    request_id: RequestId


class StoredResponse(ResponseModel):
    """An Idempotency-Key of the user. The response stored under it is not included, because it may concern other users
    whom the user may no longer see."""

    key: Annotated[str, Field(max_length=255)]
    created_at: UtcInstant


class KnownAddressRead(ResponseModel):
    """An IP address from which the user logged in."""

    address: Annotated[str, Field(max_length=49, description="IPv4 address, or /64 network of an IPv6 address.")]
    last_login_at: UtcInstant


class RefusedLoginRead(ResponseModel):
    """Refused logins of the user's account since the last audit event about them. Their next event has these counts."""

    first_at: UtcInstant
    last_at: UtcInstant
    wrong_passwords: Count
    missing_codes: Annotated[Count, Field(description="The password was right, and the one-time code was missing.")]
    rejected_codes: Annotated[Count, Field(description="The password was right, and the code was not accepted.")]
    over_limit: Annotated[Count, Field(description="Refused because of a limit on failed logins.")]


class OwnTimesheet(ResponseModel):
    """A timesheet of the user that was submitted at least once."""

    id: Id
    first_day: DayRead
    last_day: DayRead
    status: StatusField
    version: TimesheetVersion
    total_seconds: Annotated[Seconds | None, Field(description="Null while the timesheet is open or rejected.")]
    entries: Count | None
    digest: Digest
    submitted_at: UtcInstant | None
    submitted_by: Id | None
    decided_at: UtcInstant | None
    decided_by: Id | None
    comment: Annotated[str | None, Field(max_length=500)]


class PersonalData(ResponseModel):
    exported_at: UtcInstant
    user: AccountRead
    memberships: Annotated[list[ProjectRead], Field(description="Projects of which you are a member.")]
    entries: Annotated[list[TimeEntryWithProject], Field(description="All your entries, oldest first.")]
    timesheets: Annotated[list[OwnTimesheet], Field(description="Your timesheets, in the order of submission.")]
    events: Annotated[list[AuditEventRead], Field(description="Audit events that concern you, oldest first.")]
    actions: Annotated[
        list[PersonalDataAction], Field(description="Your actions on other users and projects, oldest first.")
    ]
    stored_responses: list[StoredResponse]
    sessions: Annotated[list[SessionRead], Field(description="Your login sessions.")]
    api_tokens: Annotated[list[ApiTokenRead], Field(description="The tokens themselves are not stored.")]
    known_addresses: Annotated[
        list[KnownAddressRead], Field(description="Addresses of your logins in the last 90 days.")
    ]
    refused_logins: Annotated[
        list[RefusedLoginRead], Field(max_length=1, description="Refused logins of the last hour without an event yet.")
    ]
