"""Domain errors of time entries."""

from app.core.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, Unavailable


class NotYourEntry(Forbidden):
    code = "not_your_entry"
    title = "Another user's entry"


class EditWindowClosed(Forbidden):
    code = "edit_window_closed"
    title = "Edit window closed"


class EntryNotFound(NotFound):
    code = "entry_not_found"
    title = "Entry not found"


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
    title = "Overlapping entries"


class EntryStillOpen(Conflict):
    code = "entry_still_open"
    title = "Entry still open"


class BulkRejected(Conflict):
    code = "bulk_refused"
    title = "Bulk request rejected"


class EntryChanged(PreconditionFailed):
    code = "entry_changed"
    title = "Entry changed meanwhile"


class EntryTooEarly(Invalid):
    code = "entry_too_early"
    title = "Entry too early"


class EntryTooShort(Invalid):
    code = "entry_too_short"
    title = "Entry too short"


class EntryTooLong(Invalid):
    code = "entry_too_long"
    title = "Entry too long"


class EntryInFuture(Invalid):
    code = "entry_in_future"
    title = "Entry in the future"


class ReasonRequired(Invalid):
    code = "reason_required"
    title = "Reason required"


class ServerClockSkew(Unavailable):
    code = "server_clock_skew"
    title = "Server clock skew"
    retry_after_seconds = 5
