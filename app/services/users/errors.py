"""Domain errors of users and their managers."""

from app.core.errors import Conflict, Invalid, NotFound


class ManagerNotFound(NotFound):
    code = "manager_not_found"
    title = "No such manager"


class EmailTaken(Conflict):
    code = "email_taken"
    title = "E-mail taken"


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


class PersonIsActive(Conflict):
    code = "person_is_active"
    title = "The person is active"


class RetentionRuns(Conflict):
    code = "retention_runs"
    title = "The retention time hasn't passed"


class ImportRefused(Invalid):
    code = "import_refused"
    title = "Nobody was imported"
