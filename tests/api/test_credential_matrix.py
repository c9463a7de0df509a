"""Permissions of each kind of credential as one literal table: access tokens, API tokens of each scope, and users with
a pending action. For the permissions of roles, see test_access_matrix.py."""

import pytest
from sqlalchemy import update

from app.core.database.session import Database
from app.models.tables import USER
from tests.support.credentials import create_api_token
from tests.support.databases import settings_for
from tests.support.factories import Company
from tests.support.in_process_server import run_server
from tests.support.openapi_operations import OPERATIONS

pytestmark = pytest.mark.high_volume
SCOPES = ("entries:read", "entries:write", "reports:read", "admin")
REFUSALS = {
    "scope_required": "scope",
    "password_change_required": "password",
    "second_factor_required": "factor",
    "not_authenticated": "401",
}
# session  entries:read  entries:write  reports:read  admin  must change password  needs a second factor  revoked
ANY = "yes yes yes yes yes yes yes 401"
FIRST = "yes scope scope scope scope yes yes 401"
ENROL = "yes scope scope scope scope password yes 401"
SESSION = "yes scope scope scope scope password factor 401"
READ = "yes yes scope scope scope password factor 401"
WRITE = "yes scope yes scope scope password factor 401"
READ_OR_WRITE = "yes yes yes scope scope password factor 401"
READ_OR_REPORT = "yes yes scope yes scope password factor 401"
REPORT = "yes scope scope yes scope password factor 401"
ADMIN = "yes scope scope scope yes password factor 401"
ADMIN_WITHOUT_PASSWORD = SESSION
"""An API token with the scope `admin` is accepted too, but not with the password in the document's example."""
MATRIX = {
    "GET /auth/me": ANY,
    "PATCH /auth/me": SESSION,
    "GET /auth/me/export": SESSION,
    "POST /auth/logout": FIRST,
    "POST /auth/page/logout": FIRST,
    "POST /auth/password": FIRST,
    "GET /auth/sessions": SESSION,
    "DELETE /auth/sessions": SESSION,
    "DELETE /auth/sessions/{session_id}": SESSION,
    "GET /auth/api-tokens": SESSION,
    "POST /auth/api-tokens": SESSION,
    "GET /auth/api-tokens/{token_id}": SESSION,
    "DELETE /auth/api-tokens/{token_id}": SESSION,
    "GET /auth/totp": ENROL,
    "POST /auth/totp": ENROL,
    "POST /auth/totp/confirm": ENROL,
    "DELETE /auth/totp": SESSION,
    "GET /time-entries": READ,
    "POST /time-entries": WRITE,
    "POST /time-entries/bulk": WRITE,
    "GET /time-entries/current": READ,
    "GET /time-entries/me": READ,
    "POST /time-entries/clock-in": WRITE,
    "POST /time-entries/clock-out": WRITE,
    "POST /time-entries/{entry_id}/clock-out": WRITE,
    "GET /time-entries/{entry_id}": READ,
    "PATCH /time-entries/{entry_id}": WRITE,
    "DELETE /time-entries/{entry_id}": WRITE,
    "GET /time-entries/{entry_id}/history": READ,
    "GET /timesheets": READ,
    "GET /timesheets/me": READ,
    "GET /timesheets/{user_id}/{first_day}": READ,
    "GET /timesheets/{user_id}/{first_day}/history": READ,
    "POST /timesheets/{user_id}/{first_day}/submit": WRITE,
    "POST /timesheets/{user_id}/{first_day}/withdraw": WRITE,
    "POST /timesheets/{user_id}/{first_day}/approve": ADMIN,
    "POST /timesheets/{user_id}/{first_day}/reject": ADMIN,
    "POST /timesheets/{user_id}/{first_day}/reopen": ADMIN,
    "POST /timesheets/approve": ADMIN,
    "GET /projects": READ_OR_WRITE,
    "GET /team": READ_OR_REPORT,
    "GET /reports/me": REPORT,
    "GET /reports/team": REPORT,
    "GET /reports/summary": REPORT,
    "GET /reports/presence": REPORT,
    "GET /reports/todo": REPORT,
    "GET /reports/export/csv": REPORT,
    "GET /reports/export/json": REPORT,
    "GET /reports/export/xlsx": REPORT,
    "GET /reports/export/pdf": REPORT,
    "GET /reports/payroll": REPORT,
    "GET /reports/payroll/changes": REPORT,
    "GET /admin/users": ADMIN,
    "POST /admin/users": ADMIN_WITHOUT_PASSWORD,
    "POST /admin/users/import": ADMIN,
    "GET /admin/users/export/csv": ADMIN,
    "GET /admin/users/{user_id}": ADMIN,
    "PATCH /admin/users/{user_id}": ADMIN,
    "PUT /admin/users/{user_id}/activate": SESSION,
    "PUT /admin/users/{user_id}/deactivate": ADMIN,
    "PUT /admin/users/{employee_id}/assign-manager": ADMIN,
    "DELETE /admin/users/{user_id}/manager": ADMIN,
    "PUT /admin/users/{user_id}/password": SESSION,
    "POST /admin/users/{user_id}/password-link": SESSION,
    "DELETE /admin/users/{user_id}/sessions": SESSION,
    "DELETE /admin/users/{user_id}/totp": SESSION,
    "GET /admin/api-tokens": ADMIN,
    "DELETE /admin/api-tokens/{token_id}": ADMIN,
    "GET /admin/projects": ADMIN,
    "POST /admin/projects": ADMIN,
    "GET /admin/projects/{project_id}": ADMIN,
    "PATCH /admin/projects/{project_id}": ADMIN,
    "GET /admin/projects/{project_id}/members": ADMIN,
    "PUT /admin/projects/{project_id}/members/{user_id}": ADMIN,
    "DELETE /admin/projects/{project_id}/members/{user_id}": ADMIN,
    "GET /admin/timesheet-rules": ADMIN,
    "PUT /admin/timesheet-rules/{valid_from}": ADMIN,
    "DELETE /admin/timesheet-rules/{valid_from}": ADMIN,
    "GET /admin/lock": ADMIN,
    "PUT /admin/lock": ADMIN,
    "GET /admin/audit": ADMIN,
}


@pytest.fixture
def service(db_url):
    """Run a service that requires a second factor from managers."""
    with run_server(settings_for(db_url, REQUIRE_TOTP_ROLES=["manager"])) as server:
        yield server


@pytest.fixture
def credentials(people, service):
    """Return a function that creates a credential of each kind, because an operation may revoke the one it uses.

    Id 1 belongs to another user, whom the examples of the document may deactivate.
    """
    vic, ada, pam, mia = people.employee("Vic"), people.admin("Ada"), people.admin("Pam"), people.manager("Mia")
    with service.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == pam.id).values(must_change_password=True))
    create_api_token(service.database, vic, "entries:read")
    scoped = {scope: create_api_token(service.database, ada, scope).token for scope in SCOPES}
    revoked = service.token(people.employee("Dan", is_active=False))

    def fresh():
        return {"session": service.token(ada)} | scoped | {
            "must change": service.token(pam), "needs factor": service.token(mia), "revoked": revoked
        }  # fmt: skip

    return fresh


@pytest.fixture
def people(db_url):
    database = Database(settings_for(db_url))
    yield Company(database)
    database.close()


def test_each_credential_opens_what_the_table_says_and_nothing_else(credentials, service):
    seen = {}
    for operation in OPERATIONS:
        if not operation.definition["security"]:
            continue
        cells = []
        for credential, token in credentials().items():
            with service.caller(token) as caller:
                answer = operation.send(caller)
            code = answer.json()["code"] if answer.status_code >= 400 else ""
            assert code != "validation_failed", f"{operation.name} as {credential}: {answer.text}"
            cells.append(REFUSALS.get(code, "yes"))
        seen[operation.name.replace("/api/v1", "")] = " ".join(cells)

    assert seen == MATRIX
