"""The domain errors of violated constraints: the last resort where a check before the write was missed."""

import re

from sqlalchemy.exc import IntegrityError

from app.core.errors import DomainError
from app.services.projects.errors import ProjectNameTaken
from app.services.time_entries.errors import AlreadyClockedIn, EntryOverlaps
from app.services.users.errors import EmailTaken, ManagerIsSelf

_PARTITION_SUFFIX = re.compile(r"_p\d+$")  # deploy/scaling/partition_by_user.sql names the parts' constraints so

# What the databases say when a check before the write was missed: PostgreSQL names the constraint, SQLite the columns
# of a unique index or the trigger's text.
_ERRORS_BY_CONSTRAINT: dict[str, tuple[type[DomainError], str]] = {
    "uq_time_entry_one_open_per_user": (AlreadyClockedIn, "You are clocked in already. Clock out first."),
    "time_entry.user_id": (AlreadyClockedIn, "You are clocked in already. Clock out first."),
    "ex_time_entry_no_overlap": (EntryOverlaps, "Another entry of this person lies in that time."),
    "uq_user_email_key": (EmailTaken, "Another person has this e-mail."),
    "user.email_key": (EmailTaken, "Another person has this e-mail."),
    "uq_project_name_key": (ProjectNameTaken, "Another project has this name."),
    "project.name_key": (ProjectNameTaken, "Another project has this name."),
    "ck_user_not_their_own_manager": (ManagerIsSelf, "Nobody can be their own manager. Choose somebody else."),
}


def error_from_constraint(error: IntegrityError) -> DomainError | None:
    """The domain error of a violated constraint; None for one that no request should ever reach, which is a bug."""
    diagnostics = getattr(error.orig, "diag", None)
    name = diagnostics.constraint_name if diagnostics is not None else str(error.orig).rpartition(": ")[2]
    name = _PARTITION_SUFFIX.sub("", name or "")
    if name not in _ERRORS_BY_CONSTRAINT:
        return None
    error_class, detail = _ERRORS_BY_CONSTRAINT[name]
    return error_class(detail)
