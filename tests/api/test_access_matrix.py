"""Permissions as one literal table: each operation's status for each kind of caller (threats 1 to 7).

Mia manages Ana; Max manages Bob; Ada is an admin. Del was an admin and Dan was active when they got their tokens.
Eva is in Ana's team, and Leo is Mia's manager. Both call the operations on the hours of a named user only.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest

from app.core.time.clock import utc_now
from app.models.metadata import all_tables
from app.models.tables import LOGIN_SESSION
from tests.support.credentials import create_api_token
from tests.support.databases import POSTGRESQL
from tests.support.factories import PASSWORD
from tests.support.in_process_server import openapi_document
from tests.support.times import hours_ago
from tests.support.timesheets import set_months, submit

pytestmark = pytest.mark.high_volume
READING_ROWS = 10
CALLERS = ("nobody", "garbage", "expired", "Dan", "Del", "Ana", "Bob", "Mia", "Max", "Ada")
RELATIVES = ("Eva", "Leo")
NAMED_HOURS = re.compile(r"/(time-entries|timesheets|reports).*\{(ana|bob|anas_entry)\}")
PERIOD = "start_date=2026-03-01&end_date=2026-03-31"
NEW = {"email": "new@example.com", "first_name": "New", "last_name": "Person", "role": "employee", "password": PASSWORD}
SOON = f"{utc_now().date() + timedelta(days=2)}T00:00:00Z"
YESTERDAY = utc_now().date() - timedelta(days=1)
MORNING = {"project_id": "{website}", "start_time": f"{YESTERDAY}T08:00:00Z", "end_time": f"{YESTERDAY}T12:00:00Z"}
TABLES = sorted(all_tables().tables.keys() - {"audit_event", "audit_chain", "failed_login", "refused_login"})
"""Tables that a rejected request must not change. It may add an audit event, and failed logins are counted."""
ROWS_AS_TEXT = " UNION ALL ".join(f"SELECT '{table}', t::text FROM \"{table}\" t" for table in TABLES)


@dataclass(frozen=True)
class Row:
    operation: str
    expected: str
    """A status for each caller, and after | for each of RELATIVES, who call in a company of their own if it changes."""
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    csv: str | None = None
    query: str = ""
    callers: tuple[str, ...] = CALLERS

    def __str__(self) -> str:
        callers = f" as {' and '.join(self.callers)}" if self.callers == RELATIVES else ""
        return f"{self.operation} {self.query}{self.body or ''}{callers}"

    @property
    def changes_nothing(self) -> bool:
        return self.operation.startswith("GET ") or all(status >= "400" for status in self.expected.split())


# The callers' columns:                                  nobody garbage expired Dan Del Ana Bob Mia Max Ada | Eva Leo
MATRIX = [
    Row("GET /",                                                   "200 200 200 200 200 200 200 200 200 200"),
    Row("GET /health/live",                                        "200 200 200 200 200 200 200 200 200 200"),
    Row("GET /health/ready",                                       "200 200 200 200 200 200 200 200 200 200"),
    Row("GET /metrics",                                            "200 200 200 200 200 200 200 200 200 200"),
    Row("POST /api/v1/auth/login",                                 "200 200 200 200 200 200 200 200 200 200",
        form={"username": "ana@example.com", "password": PASSWORD}),
    Row("GET /api/v1/auth/me",                                     "401 401 401 401 200 200 200 200 200 200"),
    Row("PATCH /api/v1/auth/me",                                   "401 401 401 401 200 200 200 200 200 200",
        body={"first_name": "Changed"}),
    Row("GET /api/v1/auth/me/export",                              "401 401 401 401 200 200 200 200 200 200"),
    Row("POST /api/v1/auth/refresh",                               "401 401 401 401 401 401 401 401 401 401",
        body={"refresh_token": "ettr_made-up"}),
    Row("POST /api/v1/auth/logout",                                "401 401 401 401 204 204 204 204 204 204"),
    Row("POST /api/v1/auth/page/login",                            "403 403 403 403 403 403 403 403 403 403",
        form={"username": "ana@example.com", "password": PASSWORD}),
    Row("POST /api/v1/auth/page/refresh",                          "403 403 403 403 403 403 403 403 403 403",
        body={"refresh_token": "ettr_made-up"}),
    Row("POST /api/v1/auth/page/logout",                           "401 401 401 401 204 204 204 204 204 204"),
    Row("GET /api/v1/auth/sessions",                               "401 401 401 401 200 200 200 200 200 200"),
    Row("DELETE /api/v1/auth/sessions",                            "401 401 401 401 204 204 204 204 204 204"),
    Row("DELETE /api/v1/auth/sessions/{anas_session}",             "401 401 401 401 404 204 404 404 404 404"),
    Row("DELETE /api/v1/auth/sessions/{missing}",                  "401 401 401 401 404 404 404 404 404 404"),
    Row("POST /api/v1/auth/password",                              "401 401 401 401 200 200 200 200 200 200",
        body={"current_password": PASSWORD, "new_password": "another-lantern-17-harbour"}),
    Row("POST /api/v1/auth/password/set",                          "401 401 401 401 401 401 401 401 401 401",
        body={"token": "made-up", "new_password": "another-lantern-17-harbour"}),
    Row("GET /api/v1/auth/api-tokens",                             "401 401 401 401 200 200 200 200 200 200"),
    Row("POST /api/v1/auth/api-tokens",                            "401 401 401 401 201 201 201 201 201 201",
        body={"name": "Gate", "scopes": ["entries:read"], "expires_at": SOON}),
    Row("POST /api/v1/auth/api-tokens",                            "401 401 401 401 403 403 403 403 403 201",
        body={"name": "Script", "scopes": ["admin"], "expires_at": SOON}),
    Row("GET /api/v1/auth/api-tokens/{anas_token}",                "401 401 401 401 404 200 404 404 404 404"),
    Row("GET /api/v1/auth/api-tokens/{missing}",                   "401 401 401 401 404 404 404 404 404 404"),
    Row("DELETE /api/v1/auth/api-tokens/{anas_token}",             "401 401 401 401 404 204 404 404 404 404"),
    Row("DELETE /api/v1/auth/api-tokens/{missing}",                "401 401 401 401 404 404 404 404 404 404"),
    Row("GET /api/v1/auth/totp",                                   "401 401 401 401 200 200 200 200 200 200"),
    Row("POST /api/v1/auth/totp",                                  "401 401 401 401 200 200 200 200 200 200"),
    Row("POST /api/v1/auth/totp/confirm",                          "401 401 401 401 409 409 409 409 409 409",
        body={"code": "123456"}),
    Row("DELETE /api/v1/auth/totp",                                "401 401 401 401 409 409 409 409 409 409",
        body={"password": PASSWORD, "code": "123456"}),
    Row("GET /api/v1/team",                                        "401 401 401 401 200 200 200 200 200 200"),
    Row("GET /api/v1/projects",                                    "401 401 401 401 200 200 200 200 200 200"),
    Row("POST /api/v1/time-entries/clock-in",                      "401 401 401 401 200 200 200 200 200 200",
        body={"project_id": "{website}", "description": ""}),
    Row("POST /api/v1/time-entries/clock-in",                      "401 401 401 401 404 404 200 404 404 404",
        body={"project_id": "{bobs_project}", "description": ""}),
    Row("POST /api/v1/time-entries/clock-in",                      "401 401 401 401 404 404 404 404 404 404",
        body={"project_id": "{missing}", "description": ""}),
    Row("POST /api/v1/time-entries/clock-out",                     "401 401 401 401 409 409 409 409 409 409"),
    Row("GET /api/v1/time-entries/current",                        "401 401 401 401 204 204 204 204 204 204"),
    Row("GET /api/v1/time-entries/me",                             "401 401 401 401 200 200 200 200 200 200",
        query=PERIOD),
    Row("POST /api/v1/time-entries",                               "401 401 401 401 201 201 201 201 201 201",
        body=MORNING),
    Row("POST /api/v1/time-entries",                               "401 401 401 401 404 404 201 404 404 404",
        body=MORNING | {"project_id": "{bobs_project}"}),
    Row("POST /api/v1/time-entries",                               "401 401 401 401 404 201 404 409 404 409 | 404 201",
        body=MORNING | {"user_id": "{ana}", "reason": "Paper"}),
    Row("POST /api/v1/time-entries",                               "401 401 401 401 404 404 404 404 404 404",
        body=MORNING | {"user_id": "{missing}", "reason": "Paper"}),
    Row("POST /api/v1/time-entries/bulk",                          "401 401 401 401 200 200 200 200 200 200",
        body={"operations": [{"action": "create"} | MORNING]}),
    Row("POST /api/v1/time-entries/bulk",                          "401 401 401 401 409 409 409 200 409 200 | 409 200",
        body={"operations": [{"action": "change", "id": "{anas_entry}", "description": "New", "reason": "Typo"}]}),
    Row("POST /api/v1/time-entries/bulk",                          "401 401 401 401 409 409 409 409 409 409",
        body={"operations": [{"action": "delete", "id": "{missing}", "reason": "Twice"}]}),
    Row("GET /api/v1/time-entries",                                "401 401 401 401 200 200 200 200 200 200"),
    Row("GET /api/v1/time-entries/{anas_entry}",                   "401 401 401 401 404 200 404 200 404 200 | 404 200"),
    Row("GET /api/v1/time-entries/{missing}",                      "401 401 401 401 404 404 404 404 404 404"),
    Row("GET /api/v1/time-entries/{anas_entry}/history",           "401 401 401 401 404 200 404 200 404 200 | 404 200"),
    Row("GET /api/v1/time-entries/{missing}/history",              "401 401 401 401 404 404 404 404 404 404"),
    # Ana's entry is older than her window of 31 days.
    Row("PATCH /api/v1/time-entries/{anas_entry}",                 "401 401 401 401 404 403 404 200 404 200 | 404 200",
        body={"description": "New", "reason": "Typo"}),
    Row("PATCH /api/v1/time-entries/{missing}",                    "401 401 401 401 404 404 404 404 404 404",
        body={"description": "New", "reason": "Typo"}),
    Row("DELETE /api/v1/time-entries/{anas_entry}",                "401 401 401 401 404 403 404 204 404 404 | 404 204",
        query="reason=Twice"),
    Row("DELETE /api/v1/time-entries/{missing}",                   "401 401 401 401 404 404 404 404 404 404",
        query="reason=Twice"),
    Row("POST /api/v1/time-entries/{anas_entry}/clock-out",        "401 401 401 401 404 409 404 403 404 403 | 404 403"),
    Row("POST /api/v1/time-entries/{missing}/clock-out",           "401 401 401 401 404 404 404 404 404 404"),
    # Of Ana's timesheets, January is approved, February submitted and March open.
    Row("GET /api/v1/timesheets/me",                               "401 401 401 401 200 200 200 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/timesheets",                                  "401 401 401 401 403 403 403 200 200 200"),
    Row("GET /api/v1/timesheets/{ana}/2026-02-01",                 "401 401 401 401 404 200 404 200 404 200 | 404 200"),
    Row("GET /api/v1/timesheets/{missing}/2026-02-01",             "401 401 401 401 404 404 404 404 404 404"),
    Row("GET /api/v1/timesheets/{ana}/2026-02-01/history",         "401 401 401 401 404 200 404 200 404 200 | 404 200"),
    Row("GET /api/v1/timesheets/{missing}/2026-02-01/history",     "401 401 401 401 404 404 404 404 404 404"),
    Row("POST /api/v1/timesheets/{ana}/2026-03-01/submit",         "401 401 401 401 404 200 404 409 404 409 | 404 200",
        body={"reason": "Ana is ill"}),
    Row("POST /api/v1/timesheets/{bob}/2026-03-01/submit",         "401 401 401 401 404 404 200 404 409 409 | 404 404",
        body={"reason": "Bob is ill"}),
    Row("POST /api/v1/timesheets/{missing}/2026-03-01/submit",     "401 401 401 401 404 404 404 404 404 404"),
    Row("POST /api/v1/timesheets/{ana}/2026-02-01/withdraw",       "401 401 401 401 404 200 404 403 404 403 | 404 403"),
    Row("POST /api/v1/timesheets/{missing}/2026-02-01/withdraw",   "401 401 401 401 404 404 404 404 404 404"),
    Row("POST /api/v1/timesheets/{ana}/2026-02-01/approve",        "401 401 401 401 404 403 404 200 404 409 | 404 200"),
    Row("POST /api/v1/timesheets/{missing}/2026-02-01/approve",    "401 401 401 401 404 404 404 404 404 404"),
    Row("POST /api/v1/timesheets/{ana}/2026-02-01/reject",         "401 401 401 401 404 403 404 200 404 409 | 404 200",
        body={"comment": "Tuesday lacks"}),
    Row("POST /api/v1/timesheets/{missing}/2026-02-01/reject",     "401 401 401 401 404 404 404 404 404 404",
        body={"comment": "Tuesday lacks"}),
    Row("POST /api/v1/timesheets/{ana}/2026-01-01/reopen",         "401 401 401 401 404 403 404 200 404 409 | 404 200",
        body={"reason": "Tuesday lacks"}),
    Row("POST /api/v1/timesheets/{missing}/2026-01-01/reopen",     "401 401 401 401 404 404 404 404 404 404",
        body={"reason": "Tuesday lacks"}),
    Row("POST /api/v1/timesheets/approve",                         "401 401 401 401 403 403 403 200 409 409 | 403 200",
        body={"timesheets": [{"user_id": "{ana}", "first_day": "2026-02-01"}]}),
    Row("POST /api/v1/timesheets/approve",                         "401 401 401 401 403 403 403 409 409 409",
        body={"timesheets": [{"user_id": "{missing}", "first_day": "2026-02-01"}]}),
    Row("GET /api/v1/admin/timesheet-rules",                       "401 401 401 401 403 403 403 403 403 200"),
    Row("PUT /api/v1/admin/timesheet-rules/2026-06-01",            "401 401 401 401 403 403 403 403 403 200",
        body={"period": "week"}),
    Row("DELETE /api/v1/admin/timesheet-rules/2026-05-01",         "401 401 401 401 403 403 403 403 403 204"),
    Row("DELETE /api/v1/admin/timesheet-rules/2026-04-01",         "401 401 401 401 403 403 403 403 403 404"),
    Row("GET /api/v1/admin/lock",                                  "401 401 401 401 403 403 403 403 403 200"),
    Row("PUT /api/v1/admin/lock",                                  "401 401 401 401 403 403 403 403 403 200",
        body={"before_day": "2026-02-01", "reason": "Paid"}),
    Row("GET /api/v1/reports/me",                                  "401 401 401 401 200 200 200 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/team",                                "401 401 401 401 403 403 403 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/team",                                "401 401 401 401 403 403 403 403 403 200",
        query=f"{PERIOD}&scope=all"),
    Row("GET /api/v1/reports/summary",                             "401 401 401 401 200 200 200 200 200 200",
        query=f"{PERIOD}&group_by=user&group_by=month"),
    Row("GET /api/v1/reports/presence",                            "401 401 401 401 200 200 200 200 200 200"),
    Row("GET /api/v1/reports/todo",                                "401 401 401 401 200 200 200 200 200 200"),
    Row("GET /api/v1/reports/export/csv",                          "401 401 401 401 403 403 403 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/export/xlsx",                         "401 401 401 401 403 403 403 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/export/json",                         "401 401 401 401 403 403 403 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/export/csv",                          "401 401 401 401 403 403 403 403 403 200",
        query=f"{PERIOD}&scope=all"),
    Row("GET /api/v1/reports/payroll",                             "401 401 401 401 403 403 403 200 200 200",
        query=PERIOD),
    Row("GET /api/v1/reports/payroll",                             "401 401 401 401 403 403 403 403 403 200",
        query=f"{PERIOD}&scope=all"),
    Row("GET /api/v1/reports/payroll/changes",                     "401 401 401 401 403 403 403 200 200 200",
        query="since={an_hour_ago}"),
    Row("GET /api/v1/reports/payroll/changes",                     "401 401 401 401 403 403 403 403 403 200",
        query="since={an_hour_ago}&scope=all"),
    Row("GET /api/v1/reports/export/pdf",                       "401 401 401 401 200 200 200 200 200 200",
        query="month=2026-03"),
    Row("GET /api/v1/reports/export/pdf",                       "401 401 401 401 404 200 404 200 404 200 | 404 200",
        query="month=2026-03&user_id={ana}"),
    Row("GET /api/v1/reports/export/pdf",                       "401 401 401 401 404 404 404 404 404 404",
        query="month=2026-03&user_id={missing}"),
    Row("GET /api/v1/admin/users",                                 "401 401 401 401 403 403 403 403 403 200"),
    Row("POST /api/v1/admin/users",                                "401 401 401 401 403 403 403 403 403 201", body=NEW),
    Row("POST /api/v1/admin/users/import",                         "401 401 401 401 403 403 403 403 403 200",
        csv="email,first_name,last_name,role,manager_email,time_zone\nnew@example.com,New,Person,employee,,"),
    Row("POST /api/v1/admin/users/import",                         "401 401 401 401 403 403 403 403 403 422",
        csv="email\nnew@example.com"),
    Row("GET /api/v1/admin/users/export/csv",                      "401 401 401 401 403 403 403 403 403 200"),
    Row("GET /api/v1/admin/users/{ana}",                           "401 401 401 401 403 403 403 403 403 200"),
    Row("GET /api/v1/admin/users/{missing}",                       "401 401 401 401 403 403 403 403 403 404"),
    Row("PATCH /api/v1/admin/users/{ana}",                         "401 401 401 401 403 403 403 403 403 200",
        body={"role": "manager"}),
    Row("PATCH /api/v1/admin/users/{missing}",                     "401 401 401 401 403 403 403 403 403 404",
        body={"role": "manager"}),
    Row("PUT /api/v1/admin/users/{ana}/deactivate",                "401 401 401 401 403 403 403 403 403 200"),
    Row("PUT /api/v1/admin/users/{missing}/deactivate",            "401 401 401 401 403 403 403 403 403 404"),
    Row("PUT /api/v1/admin/users/{dan}/activate",                  "401 401 401 401 403 403 403 403 403 200"),
    Row("PUT /api/v1/admin/users/{missing}/activate",              "401 401 401 401 403 403 403 403 403 404"),
    Row("PUT /api/v1/admin/users/{ana}/password",                  "401 401 401 401 403 403 403 403 403 200",
        body={"password": "another-lantern-17-harbour"}),
    Row("PUT /api/v1/admin/users/{missing}/password",              "401 401 401 401 403 403 403 403 403 404",
        body={"password": "another-lantern-17-harbour"}),
    Row("PUT /api/v1/admin/users/{ana}/assign-manager",            "401 401 401 401 403 403 403 403 403 200",
        query="manager_id={max}"),
    Row("PUT /api/v1/admin/users/{missing}/assign-manager",        "401 401 401 401 403 403 403 403 403 404",
        query="manager_id={max}"),
    Row("PUT /api/v1/admin/users/{ana}/assign-manager",            "401 401 401 401 403 403 403 403 403 404",
        query="manager_id={missing}"),
    Row("DELETE /api/v1/admin/users/{ana}/manager",                "401 401 401 401 403 403 403 403 403 200"),
    Row("DELETE /api/v1/admin/users/{missing}/manager",            "401 401 401 401 403 403 403 403 403 404"),
    Row("POST /api/v1/admin/users/{ana}/password-link",            "401 401 401 401 403 403 403 403 403 201"),
    Row("POST /api/v1/admin/users/{missing}/password-link",        "401 401 401 401 403 403 403 403 403 404"),
    Row("DELETE /api/v1/admin/users/{ana}/sessions",               "401 401 401 401 403 403 403 403 403 204"),
    Row("DELETE /api/v1/admin/users/{missing}/sessions",           "401 401 401 401 403 403 403 403 403 404"),
    Row("DELETE /api/v1/admin/users/{ana}/totp",                   "401 401 401 401 403 403 403 403 403 409"),
    Row("DELETE /api/v1/admin/users/{missing}/totp",               "401 401 401 401 403 403 403 403 403 404"),
    Row("GET /api/v1/admin/api-tokens",                            "401 401 401 401 403 403 403 403 403 200"),
    Row("DELETE /api/v1/admin/api-tokens/{anas_token}",            "401 401 401 401 403 403 403 403 403 204"),
    Row("DELETE /api/v1/admin/api-tokens/{missing}",               "401 401 401 401 403 403 403 403 403 404"),
    Row("GET /api/v1/admin/audit",                                 "401 401 401 401 403 403 403 403 403 200"),
    Row("GET /api/v1/admin/projects",                              "401 401 401 401 403 403 403 403 403 200"),
    Row("POST /api/v1/admin/projects",                             "401 401 401 401 403 403 403 403 403 201",
        body={"name": "New project"}),
    Row("GET /api/v1/admin/projects/{website}",                    "401 401 401 401 403 403 403 403 403 200"),
    Row("GET /api/v1/admin/projects/{missing}",                    "401 401 401 401 403 403 403 403 403 404"),
    Row("PATCH /api/v1/admin/projects/{website}",                  "401 401 401 401 403 403 403 403 403 200",
        body={"is_active": False}),
    Row("PATCH /api/v1/admin/projects/{missing}",                  "401 401 401 401 403 403 403 403 403 404",
        body={"is_active": False}),
    Row("GET /api/v1/admin/projects/{bobs_project}/members",       "401 401 401 401 403 403 403 403 403 200"),
    Row("GET /api/v1/admin/projects/{missing}/members",            "401 401 401 401 403 403 403 403 403 404"),
    Row("PUT /api/v1/admin/projects/{website}/members/{ana}",      "401 401 401 401 403 403 403 403 403 204"),
    Row("PUT /api/v1/admin/projects/{missing}/members/{ana}",      "401 401 401 401 403 403 403 403 403 404"),
    Row("PUT /api/v1/admin/projects/{website}/members/{missing}",  "401 401 401 401 403 403 403 403 403 404"),
    Row("DELETE /api/v1/admin/projects/{bobs_project}/members/{bob}", "401 401 401 401 403 403 403 403 403 204"),
    Row("DELETE /api/v1/admin/projects/{missing}/members/{bob}",   "401 401 401 401 403 403 403 403 403 404"),
]  # fmt: skip


@pytest.fixture
def company(people, server):
    """Return the callers' tokens and the objects' ids."""
    leo = people.manager("Leo")
    mia, max_ = people.manager("Mia", manager=leo), people.manager("Max")
    users = {
        "Leo": leo,
        "Mia": mia,
        "Max": max_,
        "Ana": people.employee("Ana", manager=mia),
        "Bob": people.employee("Bob", manager=max_),
        "Eva": people.employee("Eva", manager=mia),
        "Ada": people.admin("Ada"),
        "Dan": people.employee("Dan", is_active=False),
        "Del": people.employee("Del"),
    }
    website, bobs = people.project("Website"), people.project("Bob's", members=(users["Bob"],))
    entry = people.entry(users["Ana"], website, "2026-03-02 08:00", "2026-03-02 12:00")
    long_ago = utc_now() - timedelta(days=1)
    tokens = {"nobody": None, "garbage": "not.a.token"} | {name: server.token(each) for name, each in users.items()}
    tokens["expired"] = server._signer.sign(users["Ada"].id, 0, at=long_ago)
    ids = {name.lower(): each.id for name, each in users.items()}
    with server.database.read_transaction() as session:
        own = session.execute(LOGIN_SESSION.select().where(LOGIN_SESSION.c.user_id == users["Ana"].id)).one()
    ids |= {"anas_session": own.id, "anas_token": create_api_token(server.database, users["Ana"], "entries:read").id}
    set_months(server.database, users["Ada"], date(2026, 1, 1), date(2026, 5, 1))
    submit(server.database, users["Ana"], date(2026, 1, 1), approved_by=mia)
    submit(server.database, users["Ana"], date(2026, 2, 1))
    ids |= {"website": website.id, "bobs_project": bobs.id, "anas_entry": entry, "missing": 2_000_000_000}
    ids |= {"an_hour_ago": hours_ago(1)}
    return tokens, ids


def _groups():
    """Return the rows that one company answers. Those whose requests all change nothing share a company."""
    rows = [
        replace(row, callers=callers, expected=expected)
        for row in MATRIX
        for callers, expected in zip((CALLERS, RELATIVES), row.expected.split("|"), strict=False)
    ]
    changing = [[row] for row in rows if not row.changes_nothing]
    reading = [row for row in rows if row.changes_nothing]
    return changing + [reading[start : start + READING_ROWS] for start in range(0, len(reading), READING_ROWS)]


@pytest.mark.parametrize(
    "rows", _groups(), ids=lambda rows: f"{rows[0]} and {len(rows) - 1} more" if rows[1:] else str(rows[0])
)
def test_an_operation_answers_each_caller_as_the_table_says(rows, company, server):
    answers = {str(row): _answers(row, *company, server) for row in rows}

    assert answers == {str(row): dict(zip(row.callers, row.expected.split(), strict=True)) for row in rows}


def _answers(row, tokens, ids, server):
    """Send the row's request as each caller, and return the statuses. A rejected request must change nothing."""
    method, path = row.operation.format(**ids).split(" ", 1)
    query = row.query.format(**ids)
    sent: dict[str, Any] = {"json": _fill_in(row.body, ids), "data": row.form}
    if row.csv is not None:
        sent = {"content": row.csv, "headers": {"Content-Type": "text/csv"}}

    statuses = {}
    before = _dump_tables(server)
    for caller in row.callers:
        with server.caller(tokens[caller]) as client:
            answer = client.at_root(method, f"{path}?{query}" if query else path, **sent)
        statuses[caller] = str(answer.status_code)
        if answer.status_code == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        if row.changes_nothing and caller != row.callers[-1]:
            continue  # one comparison after all callers is enough
        after = _dump_tables(server)
        if answer.status_code >= 400 or method == "GET":
            assert after == before, f"{caller}'s request changed something: {row}"
        before = after
    return statuses


def test_what_lies_outside_ones_scope_looks_like_what_does_not_exist(company, server):
    tokens, ids = company
    with server.caller(tokens["Bob"]) as bob:
        foreign = bob.post(f"/time-entries/{ids['anas_entry']}/clock-out").json()
        missing = bob.post(f"/time-entries/{ids['missing']}/clock-out").json()

    assert {**foreign, "instance": "", "request_id": ""} == {**missing, "instance": "", "request_id": ""}


def test_a_row_on_the_hours_of_a_named_user_says_what_colleagues_and_higher_managers_get():
    of_named_user = [row for row in MATRIX if NAMED_HOURS.search(str(row))]

    assert [str(row) for row in of_named_user if "|" not in row.expected] == []


def test_every_operation_has_a_row(server):
    patterns = {(method.upper(), path) for path, methods in openapi_document()["paths"].items() for method in methods}
    found = set()
    for row in MATRIX:
        method, path = row.operation.split(" ")
        template = path.replace("{missing}", "0").replace("{", "").replace("}", "")
        operation = server.operation(method, template)
        found |= {key for key in patterns if openapi_document()["paths"][key[1]].get(key[0].lower()) == operation}

    assert patterns - found == set()


def _fill_in(value, ids):
    if isinstance(value, dict):
        return {name: _fill_in(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [_fill_in(each, ids) for each in value]
    return ids[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value


def _dump_tables(server):
    """Return all rows of TABLES. PostgreSQL sends them as text in one response, which takes a tenth of the time."""
    with server.database.read_transaction() as session:
        connection = session.connection()
        if connection.dialect.name == POSTGRESQL:
            return sorted(connection.exec_driver_sql(ROWS_AS_TEXT).all())
        return {table: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{table}"'))) for table in TABLES}
