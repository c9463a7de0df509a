"""The SQLAlchemy Core tables of the models."""

from sqlalchemy import ColumnElement, FromClause, Table
from sqlmodel import SQLModel

from app.models.audit import AuditChain, AuditEvent
from app.models.auth.api_token import ApiToken
from app.models.auth.login_attempt import FailedLogin, KnownAddress, RefusedLogin
from app.models.auth.login_session import LoginSession
from app.models.auth.password_link import PasswordLink
from app.models.auth.second_factor import RecoveryCode, SecondFactor
from app.models.idempotency import IdempotencyKey
from app.models.projects import Project, ProjectMember
from app.models.time_entries import TimeEntry
from app.models.timesheets import PayrollLock, Reminder, Timesheet, TimesheetRule
from app.models.users import NamedLock, TimeZone, User


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a model."""
    table = SQLModel.metadata.tables[str(model.__tablename__)]
    assert isinstance(table, Table)
    return table


USER, TIME_ZONE, NAMED_LOCK = table_of(User), table_of(TimeZone), table_of(NamedLock)
LOGIN_SESSION, API_TOKEN, PASSWORD_LINK = table_of(LoginSession), table_of(ApiToken), table_of(PasswordLink)
SECOND_FACTOR, RECOVERY_CODE = table_of(SecondFactor), table_of(RecoveryCode)
FAILED_LOGIN, KNOWN_ADDRESS = table_of(FailedLogin), table_of(KnownAddress)
REFUSED_LOGIN = table_of(RefusedLogin)
PROJECT, PROJECT_MEMBER = table_of(Project), table_of(ProjectMember)
ENTRY = table_of(TimeEntry)
TIMESHEET, TIMESHEET_RULE = table_of(Timesheet), table_of(TimesheetRule)
PAYROLL_LOCK, REMINDER = table_of(PayrollLock), table_of(Reminder)
IDEMPOTENCY_KEY = table_of(IdempotencyKey)
AUDIT_EVENT, AUDIT_CHAIN = table_of(AuditEvent), table_of(AuditChain)


def full_name(user: FromClause) -> ColumnElement[str]:
    """Return the first and last name as an expression, for the user table or an alias of it."""
    name: ColumnElement[str] = user.c.first_name + " " + user.c.last_name
    return name
