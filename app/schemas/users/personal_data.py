"""All that is stored about a person, as they get it."""

from typing import Annotated

from pydantic import Field

from app.schemas.audit import AuditAction, AuditEventRead, RequestId
from app.schemas.auth.api_token import ApiTokenRead
from app.schemas.auth.session import SessionRead
from app.schemas.projects import ProjectRead
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.types import EntryId, ResponseModel, UtcInstant
from app.schemas.users.user import AccountRead


class PersonalDataAction(ResponseModel):
    """What the person did that concerns somebody else, or nobody: without what it changed, which isn't theirs."""

    at: UtcInstant
    action: AuditAction
    object_type: Annotated[str, Field(max_length=32)]
    object_id: EntryId | None
    request_id: RequestId


class StoredResponse(ResponseModel):
    """An answer kept for a request that may be sent again."""

    key: Annotated[str, Field(max_length=255)]
    created_at: UtcInstant
    answer: Annotated[str, Field(max_length=2**30, description="The answer, as JSON.")]


class KnownAddressRead(ResponseModel):
    """An address that the person logged in from."""

    address: Annotated[str, Field(max_length=49, description="IPv4, or the /64 network of IPv6.")]
    last_login_at: UtcInstant


class PersonalData(ResponseModel):
    exported_at: UtcInstant
    user: AccountRead
    memberships: Annotated[list[ProjectRead], Field(description="Projects that name you as a member.")]
    entries: Annotated[list[TimeEntryWithProject], Field(description="All your entries, oldest first.")]
    events: Annotated[list[AuditEventRead], Field(description="All that the record has of you, oldest first.")]
    actions: Annotated[
        list[PersonalDataAction], Field(description="What you did to others or to projects, oldest first.")
    ]
    stored_responses: list[StoredResponse]
    sessions: Annotated[list[SessionRead], Field(description="Where you are logged in.")]
    api_tokens: Annotated[list[ApiTokenRead], Field(description="Without what they are: that isn't stored.")]
    known_addresses: Annotated[list[KnownAddressRead], Field(description="From where you logged in, for 90 days.")]
