"""Conversion of violated database constraints to domain errors.

Services check before they write. A constraint is violated only if such a check is missing or loses a race.
"""

import re

from sqlalchemy.exc import IntegrityError

from app.core.errors import DomainError
from app.services.period_locks import EntryLocked
from app.services.projects.errors import ProjectCodeTaken, ProjectNameTaken
from app.services.time_entries.errors import AlreadyClockedIn, EntryOverlaps
from app.services.users.errors import EmailTaken, ManagerIsSelf

_PARTITION_SUFFIX = re.compile(r"_p\d+$")  # from deploy/scaling/partition_by_user.sql

# PostgreSQL reports the name of the constraint. SQLite reports the columns of a unique index or the text of a trigger.
_ERRORS_BY_CONSTRAINT: dict[str, tuple[type[DomainError], str]] = {
    "uq_time_entry_one_open_per_user": (AlreadyClockedIn, "You are already clocked in. Clock out first."),
    "time_entry.user_id": (AlreadyClockedIn, "You are already clocked in. Clock out first."),
    "ex_time_entry_no_overlap": (EntryOverlaps, "The times overlap another entry of this user. Change them."),
    "ck_time_entry_locked": (EntryLocked, "The entry is in a submitted or approved timesheet. Reopen that first."),
    "uq_project_code": (ProjectCodeTaken, "Another project has this code. Choose another code."),
    "project.code": (ProjectCodeTaken, "Another project has this code. Choose another code."),
    "uq_user_email_key": (EmailTaken, "Another user has this e-mail. Choose another one."),
    "user.email_key": (EmailTaken, "Another user has this e-mail. Choose another one."),
    "uq_project_name_key": (ProjectNameTaken, "Another project has this name. Choose another name."),
    "project.name_key": (ProjectNameTaken, "Another project has this name. Choose another name."),
    "ck_user_not_their_own_manager": (ManagerIsSelf, "A user cannot be their own manager. Choose another manager."),
}


def error_from_constraint(error: IntegrityError) -> DomainError | None:
    """Return the domain error for a violated constraint, or None if no request should be able to violate it (a bug)."""
    diagnostics = getattr(error.orig, "diag", None)
    name = diagnostics.constraint_name if diagnostics is not None else str(error.orig).rpartition(": ")[2]
    name = _PARTITION_SUFFIX.sub("", name or "")
    if name not in _ERRORS_BY_CONSTRAINT:
        return None
    error_class, detail = _ERRORS_BY_CONSTRAINT[name]
    return error_class(detail)
