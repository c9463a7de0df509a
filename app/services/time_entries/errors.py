"""Domain errors of time entries."""

from app.core.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, Unavailable


class NotYourEntry(Forbidden):
    code = "not_your_entry"
    title = "Somebody else's entry"


class EditWindowClosed(Forbidden):
    code = "edit_window_closed"
    title = "Too long ago to change yourself"


class EntryNotFound(NotFound):
    code = "entry_not_found"
    title = "No such entry"


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


class EntryStillRuns(Conflict):
    code = "entry_still_runs"
    title = "The entry still runs"


class BulkRefused(Conflict):
    code = "bulk_refused"
    title = "Nothing was done"


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


class ClockBehind(Unavailable):
    code = "clock_behind"
    title = "The server's clock is behind"
    retry_after_seconds = 5
