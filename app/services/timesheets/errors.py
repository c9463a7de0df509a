"""Domain errors of timesheets, their rules and the lock date."""

from app.core.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed


class TimesheetNotFound(NotFound):
    code = "timesheet_not_found"
    title = "Timesheet not found"


class TimesheetStatusConflict(Conflict):
    code = "timesheet_status_conflict"
    title = "Timesheet in another status"


class TimesheetNotOver(Conflict):
    code = "timesheet_not_over"
    title = "Period not over"


class TimesheetNotSubmittable(Conflict):
    code = "timesheet_not_submittable"
    title = "Timesheet not submittable"


class TimesheetChanged(PreconditionFailed):
    code = "timesheet_changed"
    title = "Timesheet changed"


class OwnTimesheet(Forbidden):
    code = "own_timesheet"
    title = "Own timesheet"


class NotYourTimesheet(Forbidden):
    code = "not_your_timesheet"
    title = "Not your timesheet"


class RuleNotFound(NotFound):
    code = "timesheet_rule_not_found"
    title = "Timesheet rule not found"


class RuleStartInvalid(Invalid):
    code = "rule_start_invalid"
    title = "Start of rule invalid"


class RuleInUse(Conflict):
    code = "rule_in_use"
    title = "Timesheet rule in use"


class LockInFuture(Invalid):
    code = "lock_in_future"
    title = "Lock date in the future"


class LockChanged(PreconditionFailed):
    code = "lock_changed"
    title = "Lock date changed"
