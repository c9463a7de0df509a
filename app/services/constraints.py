"""Every domain error of the services, and the constraints that raise them as a last resort.

DomainError
├── NotAuthenticated    LoginRefused, OtpRequired, OtpWrong, LinkRefused (BadToken,
│                       RefreshRefused: core/security)
├── Forbidden           RoleNeeded, ScopeNeeded, PasswordChangeRequired, SecondFactorRequired, PasswordWrong, CodeWrong,
│                       OwnAccount, NotYourEntry, EditWindowClosed
├── NotFound            UserNotFound, ManagerNotFound, ProjectNotFound, EntryNotFound, SessionNotFound, ApiTokenNotFound
├── Conflict            AlreadyClockedIn, AlreadyClockedOut, NotClockedIn, EntryOverlaps, ProjectInactive, EmailTaken,
│                       ProjectNameTaken, LastAdmin, ManagerCycle, ManagerIsSelf, ManagerInvalid, ManagerInactive,
│                       HasReports, EntryStillRuns, RequestInFlight, BulkRefused, PersonIsActive, RetentionRuns,
│                       PersonInactive, SecondFactorExists, NoSecondFactor, NotEnrolling, TooManyApiTokens
├── PreconditionFailed  EntryChanged
├── Invalid             PeriodReversed, PeriodTooLong, EntryTooShort, EntryTooLong, EntryInFuture, ReasonNeeded,
│                       BadCursor, KeyReused, PasswordUnchanged, ExpiryOutOfRange, ImportRefused, SummaryTooLarge,
│                       TooManyRows
├── TooMany             TooManyExports (TooManyRequests: core/server/rate_limit.py; LoginLimitReached: login_limits.py)
└── Unavailable         ClockBehind, SecondFactorUnreadable (ServiceBusy, DatabaseUnavailable: core/database/session.py;
                        TooManyLogins: core/security/passwords.py; MailNotSent: core/mail.py)
"""

import re

from sqlalchemy.exc import IntegrityError

from app.core.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    PreconditionFailed,
    TooMany,
    Unavailable,
)


class LoginRefused(NotAuthenticated):
    code = "login_refused"
    title = "Login refused"
    is_recorded = True


class OtpRequired(NotAuthenticated):
    code = "otp_required"
    title = "A second factor is needed"
    is_recorded = True


class OtpWrong(NotAuthenticated):
    code = "otp_wrong"
    title = "The code is wrong"
    is_recorded = True


class LinkRefused(NotAuthenticated):
    code = "link_refused"
    title = "The link is not valid"


class PasswordWrong(Forbidden):
    code = "password_wrong"
    title = "Not your present password"
    is_recorded = True


class CodeWrong(Forbidden):
    code = "code_wrong"
    title = "The code is wrong"
    is_recorded = True


class RoleNeeded(Forbidden):
    code = "role_needed"
    title = "Your role may not do this"


class ScopeNeeded(Forbidden):
    code = "scope_needed"
    title = "The API token is not for this"


class PasswordChangeRequired(Forbidden):
    code = "password_change_required"
    title = "Change your password first"


class SecondFactorRequired(Forbidden):
    code = "second_factor_required"
    title = "Enrol a second factor first"


class OwnAccount(Forbidden):
    code = "own_account"
    title = "Not for your own account"


class NotYourEntry(Forbidden):
    code = "not_your_entry"
    title = "Somebody else's entry"


class EditWindowClosed(Forbidden):
    code = "edit_window_closed"
    title = "Too long ago to change yourself"


class UserNotFound(NotFound):
    code = "user_not_found"
    title = "No such person"


class ManagerNotFound(NotFound):
    code = "manager_not_found"
    title = "No such manager"


class ProjectNotFound(NotFound):
    code = "project_not_found"
    title = "No such project"


class EntryNotFound(NotFound):
    code = "entry_not_found"
    title = "No such entry"


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "No such session"


class ApiTokenNotFound(NotFound):
    code = "api_token_not_found"
    title = "No such API token"


class AlreadyClockedIn(Conflict):
    code = "already_clocked_in"
    title = "Already clocked in"


class AlreadyClockedOut(Conflict):
    code = "already_clocked_out"
    title = "Already clocked out"


class NotClockedIn(Conflict):
    code = "not_clocked_in"
    title = "Not clocked in"


class EntryOverlaps(Conflict):
    code = "entry_overlaps"
    title = "Entries would overlap"


class ProjectInactive(Conflict):
    code = "project_inactive"
    title = "The project is archived"


class EmailTaken(Conflict):
    code = "email_taken"
    title = "E-mail taken"


class ProjectNameTaken(Conflict):
    code = "project_name_taken"
    title = "Project name taken"


class LastAdmin(Conflict):
    code = "last_admin"
    title = "The last admin"


class ManagerCycle(Conflict):
    code = "manager_cycle"
    title = "A circle of managers"


class ManagerIsSelf(Conflict):
    code = "manager_is_self"
    title = "Nobody manages themselves"


class ManagerInvalid(Conflict):
    code = "manager_invalid"
    title = "Not a manager"


class ManagerInactive(Conflict):
    code = "manager_inactive"
    title = "The manager is deactivated"


class HasReports(Conflict):
    code = "has_reports"
    title = "People report to this person"


class EntryStillRuns(Conflict):
    code = "entry_still_runs"
    title = "The entry still runs"


class RequestInFlight(Conflict):
    code = "request_in_flight"
    title = "The same request is still being done"


class BulkRefused(Conflict):
    code = "bulk_refused"
    title = "Nothing was done"


class PersonIsActive(Conflict):
    code = "person_is_active"
    title = "The person is active"


class RetentionRuns(Conflict):
    code = "retention_runs"
    title = "The retention time hasn't passed"


class PersonInactive(Conflict):
    code = "person_inactive"
    title = "The person is deactivated"


class SecondFactorExists(Conflict):
    code = "second_factor_exists"
    title = "There is a second factor already"


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    title = "There is no second factor"


class NotEnrolling(Conflict):
    code = "not_enrolling"
    title = "No enrolment was begun"


class TooManyApiTokens(Conflict):
    code = "too_many_api_tokens"
    title = "Too many API tokens"


class EntryChanged(PreconditionFailed):
    code = "entry_changed"
    title = "The entry was changed meanwhile"


class EntryTooShort(Invalid):
    code = "entry_too_short"
    title = "The entry ends before it starts, or at once"


class EntryTooLong(Invalid):
    code = "entry_too_long"
    title = "The entry is too long"


class EntryInFuture(Invalid):
    code = "entry_in_future"
    title = "The entry lies in the future"


class ReasonNeeded(Invalid):
    code = "reason_needed"
    title = "This change needs a reason"


class BadCursor(Invalid):
    code = "bad_cursor"
    title = "Not a cursor of this list"


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "The Idempotency-Key belongs to another request"


class PasswordUnchanged(Invalid):
    code = "password_unchanged"
    title = "The password stays the same"


class ExpiryOutOfRange(Invalid):
    code = "expiry_out_of_range"
    title = "The expiry is out of range"


class ImportRefused(Invalid):
    code = "import_refused"
    title = "Nobody was imported"


class PeriodReversed(Invalid):
    code = "period_reversed"
    title = "The period ends before it starts"


class PeriodTooLong(Invalid):
    code = "period_too_long"
    title = "The period is too long"


class SummaryTooLarge(Invalid):
    code = "summary_too_large"
    title = "The summary has too many rows"


class SecondFactorUnreadable(Unavailable):
    code = "second_factor_unreadable"
    title = "The second factor can't be read"
    retry_after_seconds = 60


class TooManyRows(Invalid):
    code = "too_many_rows"
    title = "More rows than a sheet has"


class TooManyExports(TooMany):
    code = "too_many_exports"
    title = "Two exports at a time"


class ClockBehind(Unavailable):
    code = "clock_behind"
    title = "The server's clock is behind"
    retry_after_seconds = 5


_OF_A_PART = re.compile(r"_p\d+$")  # deploy/scaling/partition_by_person.sql names the parts' constraints so

# What the databases say when a check before the write was missed: PostgreSQL names the constraint, SQLite the columns
# of a unique index or the trigger's text.
_BY_CONSTRAINT: dict[str, tuple[type[DomainError], str]] = {
    "uq_time_entry_one_open_per_user": (AlreadyClockedIn, "You are clocked in already. Clock out first."),
    "time_entry.user_id": (AlreadyClockedIn, "You are clocked in already. Clock out first."),
    "ex_time_entry_no_overlap": (EntryOverlaps, "Another entry of this person lies in that time."),
    "uq_user_email_key": (EmailTaken, "Another person has this e-mail."),
    "user.email_key": (EmailTaken, "Another person has this e-mail."),
    "uq_project_name_key": (ProjectNameTaken, "Another project has this name."),
    "project.name_key": (ProjectNameTaken, "Another project has this name."),
    "ck_user_not_their_own_manager": (ManagerIsSelf, "Nobody can be their own manager. Choose somebody else."),
}


def from_constraint(error: IntegrityError) -> DomainError | None:
    """The domain error of a violated constraint; None for one that no request should ever reach, which is a bug."""
    diagnosis = getattr(error.orig, "diag", None)
    name = diagnosis.constraint_name if diagnosis is not None else str(error.orig).rpartition(": ")[2]
    name = _OF_A_PART.sub("", name or "")
    if name not in _BY_CONSTRAINT:
        return None
    kind, detail = _BY_CONSTRAINT[name]
    return kind(detail)
