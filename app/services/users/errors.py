"""Domain errors of users and their managers."""

from app.core.errors import Conflict, Invalid, NotFound


class ManagerNotFound(NotFound):
    code = "manager_not_found"
    title = "Manager not found"


class EmailTaken(Conflict):
    code = "email_taken"
    title = "E-mail address taken"


class LastAdmin(Conflict):
    code = "last_admin"
    title = "Last active admin"


class ManagerCycle(Conflict):
    code = "manager_cycle"
    title = "Manager cycle"


class ManagerIsSelf(Conflict):
    code = "manager_is_self"
    title = "User as their own manager"


class ManagerInvalid(Conflict):
    code = "manager_invalid"
    title = "Not a manager"


class ManagerInactive(Conflict):
    code = "manager_inactive"
    title = "Manager deactivated"


class HasReports(Conflict):
    code = "has_reports"
    title = "User has direct reports"


class UserStillActive(Conflict):
    code = "user_still_active"
    title = "User still active"


class RetentionNotExpired(Conflict):
    code = "retention_not_expired"
    title = "Retention period not expired"


class ImportRefused(Invalid):
    code = "import_refused"
    title = "Import rejected"
