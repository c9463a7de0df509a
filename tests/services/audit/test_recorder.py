"""The audit log (rules: R1, R2): one event per changed subject, in the transaction of the change, append-only."""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import ANY

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import IntegrityError

from app.core.time.clock import utc_now
from app.models.metadata import all_tables
from app.models.tables import AUDIT_EVENT, TIMESHEET
from app.services.audit import recorder
from tests.support.audit_asserts import AuditLog
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import PASSWORD
from tests.support.in_process_server import openapi_document
from tests.support.times import hours_ago

PERIOD = "start_date=2026-03-01&end_date=2026-03-31"
NEW = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee", "password": PASSWORD}
RECORD_TABLES = ("audit_event", "audit_chain")
BUSINESS_TABLES = sorted(all_tables().tables.keys() - set(RECORD_TABLES))


@dataclass(frozen=True)
class Change:
    """A request and its audit event: action, subject, object, and the fields that differ before and after."""

    caller: str
    operation: str
    action: str
    subject: str | None
    object: str | None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    body: dict[str, Any] | None = None
    form: dict[str, str] = field(default_factory=dict)
    csv: str | None = None
    reason: str | None = None


ZOE = {name: NEW[name] for name in ("email", "first_name", "last_name", "role")}
NEW_SHEET = {
    "status": "open",
    "version": 1,
    "total_seconds": None,
    "entries": None,
    "digest": None,
    "digest_version": None,
    "decided_at": None,
    "decided_by": None,
    "returned_at": None,
}
JANUARY, FEBRUARY, MARCH = (
    NEW_SHEET | {"first_day": f"2026-{month}-01", "last_day": f"2026-{month}-{last}"}
    for month, last in (("01", 31), ("02", 28), ("03", 31))
)
LOCKED = {"total_seconds": 0, "entries": 0, "digest": ANY, "digest_version": 1}
SUBMITTED = {"status": "submitted", "submitted_at": ANY, "submitted_by": "{Ana}"}
DECIDED = {"version": 2, "decided_at": ANY, "decided_by": "{Mia}"}
APPROVED = DECIDED | {"status": "approved"}
# {new} is the id in the response, {next} that of the next user. Requests on entries are tested below.
CHANGES = [
    Change("Ada", "POST /admin/users", "user:create", "{new}", "{new}", body=NEW,
           after=ZOE | {"is_active": True, "manager_id": None, "time_zone": "UTC", "must_change_password": False}),
    Change("Ada", "POST /admin/users/import", "user:create", "{next}", "{next}",
           csv="email,first_name,last_name,role,manager_email,time_zone\nzoe@example.com,Zoe,Ng,employee,,",
           after=ZOE | {"is_active": True, "manager_id": None, "time_zone": "UTC", "must_change_password": False}),
    Change("Ada", "GET /admin/users/export/csv", "export:people", "{Ada}", None),
    Change("Ada", "PATCH /admin/users/{Ana}", "user:change", "{Ana}", "{Ana}",
           body={"first_name": "Anna", "last_name": "Silva", "role": "manager"},
           before={"first_name": "Ana", "role": "employee"}, after={"first_name": "Anna", "role": "manager"}),
    Change("Ada", "PUT /admin/users/{Ana}/deactivate", "user:deactivate", "{Ana}", "{Ana}",
           before={"is_active": True}, after={"is_active": False}),
    Change("Ada", "PUT /admin/users/{Dan}/activate", "user:activate", "{Dan}", "{Dan}",
           before={"is_active": False}, after={"is_active": True}),
    Change("Ada", "PUT /admin/users/{Ana}/password", "user:set_password", "{Ana}", "{Ana}",
           body={"password": "another-lantern-17-harbour"}, after={"must_change_password": False}),
    Change("Ada", "PUT /admin/users/{Dan}/assign-manager?manager_id={Mia}", "user:assign_manager", "{Dan}", "{Dan}",
           before={"manager_id": None}, after={"manager_id": "{Mia}"}),
    Change("Ada", "DELETE /admin/users/{Ana}/manager", "user:remove_manager", "{Ana}", "{Ana}",
           before={"manager_id": "{Mia}"}, after={"manager_id": None}),
    Change("Ana", "PATCH /auth/me", "user:change_self", "{Ana}", "{Ana}", body={"time_zone": "Asia/Tokyo"},
           before={"time_zone": "UTC"}, after={"time_zone": "Asia/Tokyo"}),
    Change("Ada", "POST /admin/projects", "project:create", None, "{new}", body={"name": "Shop"},
           after={"name": "Shop", "code": None, "is_active": True}),
    Change("Ada", "PATCH /admin/projects/{Website}", "project:change", None, "{Website}", body={"is_active": False},
           before={"is_active": True}, after={"is_active": False}),
    Change("Ada", "PUT /admin/projects/{Website}/members/{Ana}", "project:add_member", "{Ana}", "{Website}"),
    Change("Ada", "DELETE /admin/projects/{Secret}/members/{Ana}", "project:remove_member", "{Ana}", "{Secret}"),
    Change("Ana", "POST /auth/login", "login:accept", "{Ana}", None,
           form={"username": "ana@example.com", "password": PASSWORD},
           after={"session_id": ANY, "idle_days": 14, "max_days": 90, "second_factor": False}),
    Change("Mia", f"GET /reports/export/csv?{PERIOD}", "export:csv", "{Mia}", None,
           after={"start_date": "2026-03-01", "end_date": "2026-03-31", "tz": None, "scope": "team",
                  "include_indirect": False, "columns": "basic", "attribution": "start", "only": None}),
    Change("Mia", "GET /reports/export/pdf?month=2026-03&user_id={Ana}", "export:timesheet", "{Mia}", None,
           after={"user_id": "{Ana}", "month": "2026-03", "tz": None}),
    Change("Ada", "PUT /admin/timesheet-rules/{July}", "timesheet_rule:set", None, None, body={"period": "week"},
           after={"valid_from": "2026-07-01", "period": "week", "created_by": "{Ada}"}),
    Change("Ada", "DELETE /admin/timesheet-rules/{June}", "timesheet_rule:remove", None, None,
           before={"valid_from": "2026-06-01", "period": "two_weeks", "created_by": "{Ada}"}),
    Change("Ada", "PUT /admin/lock", "payroll_lock:move", None, None,
           body={"before_day": "2026-02-01", "reason": "Paid"}, reason="Paid",
           before={"before_day": None, "version": 1, "changed_at": None, "changed_by": None},
           after={"before_day": "2026-02-01", "version": 2, "changed_at": ANY, "changed_by": "{Ada}"}),
    Change("Ana", "POST /timesheets/{Ana}/{March}/submit", "timesheet:submit", "{Ana}", "{March timesheet}",
           after=MARCH | LOCKED | SUBMITTED | {"total_seconds": 14400, "entries": 1}),
    Change("Ana", "POST /timesheets/{Ana}/{February}/withdraw", "timesheet:withdraw", "{Ana}", "{February timesheet}",
           before=FEBRUARY | LOCKED | SUBMITTED, after=FEBRUARY | SUBMITTED | {"status": "open", "version": 2}),
    Change("Mia", "POST /timesheets/{Ana}/{February}/approve", "timesheet:approve", "{Ana}", "{February timesheet}",
           before=FEBRUARY | LOCKED | SUBMITTED, after=FEBRUARY | LOCKED | SUBMITTED | APPROVED),
    Change("Mia", "POST /timesheets/approve", "timesheet:approve", "{Ana}", "{February timesheet}",
           body={"timesheets": [{"user_id": "{Ana}", "first_day": "2026-02-01"}], "comment": "Fine"}, reason="Fine",
           before=FEBRUARY | LOCKED | SUBMITTED, after=FEBRUARY | LOCKED | SUBMITTED | APPROVED),
    Change("Mia", "POST /timesheets/{Ana}/{February}/reject", "timesheet:reject", "{Ana}", "{February timesheet}",
           body={"comment": "The 2nd lacks"}, reason="The 2nd lacks", before=FEBRUARY | LOCKED | SUBMITTED,
           after=FEBRUARY | SUBMITTED | DECIDED | {"status": "rejected", "returned_at": ANY}),
    Change("Mia", "POST /timesheets/{Ana}/{January}/reopen", "timesheet:reopen", "{Ana}", "{January timesheet}",
           body={"reason": "The 5th lacks"}, reason="The 5th lacks",
           before=JANUARY | LOCKED | SUBMITTED | APPROVED,
           after=JANUARY | SUBMITTED | DECIDED | {"status": "open", "version": 3, "returned_at": ANY}),
]  # fmt: skip
ENTRY_OPERATIONS = [
    "POST /time-entries/clock-in",
    "POST /time-entries/clock-out",
    "POST /time-entries/{entry}/clock-out",
    "POST /time-entries",
    "PATCH /time-entries/{entry}",
    "DELETE /time-entries/{entry}",
    "POST /time-entries/bulk",
]
# Tested in test_account_events.py.
ACCOUNT_OPERATIONS = [
    "POST /auth/logout",
    "POST /auth/page/login",
    "POST /auth/page/logout",
    "DELETE /auth/sessions",
    "DELETE /auth/sessions/{session}",
    "DELETE /admin/users/{user}/sessions",
    "POST /auth/password",
    "POST /auth/password/set",
    "POST /admin/users/{user}/password-link",
    "POST /auth/api-tokens",
    "DELETE /auth/api-tokens/{token}",
    "DELETE /admin/api-tokens/{token}",
    "POST /auth/totp",
    "POST /auth/totp/confirm",
    "DELETE /auth/totp",
    "DELETE /admin/users/{user}/totp",
]
# A refresh changes nothing but the session. Its 48 events per user and day would hide the important events.
UNRECORDED = ["POST /auth/refresh", "POST /auth/page/refresh"]
# Requests that change nothing record nothing.
UNCHANGED = [
    ("PATCH /admin/users/{Ana}", {"first_name": "Ana", "role": "employee"}),
    ("PUT /admin/users/{Dan}/deactivate", None),
    ("PUT /admin/users/{Ana}/activate", None),
    ("PUT /admin/users/{Ana}/assign-manager?manager_id={Mia}", None),
    ("DELETE /admin/users/{Dan}/manager", None),
    ("PATCH /auth/me", {"first_name": "Ada"}),
    ("PATCH /admin/projects/{Website}", {"name": "Website", "code": "", "is_active": True}),
    ("PUT /admin/timesheet-rules/{June}", {"period": "two_weeks"}),
    ("PUT /admin/lock", {"before_day": None, "reason": "Nothing"}),
    ("PUT /admin/projects/{Secret}/members/{Ana}", None),
    ("DELETE /admin/projects/{Website}/members/{Ana}", None),
]
APPROVABLE_AND_APPROVED = [{"user_id": "{Ana}", "first_day": f"2026-{month}-01"} for month in ("02", "01")]
REFUSED = [
    ("POST /admin/users", NEW | {"email": "ana@example.com"}, 409),
    ("POST /admin/users", NEW | {"manager_id": 2_000_000_000}, 404),
    ("PATCH /admin/users/{Ada}", {"first_name": "Eva", "role": "employee"}, 409),
    ("PATCH /admin/users/{Ana}", {"first_name": "Anna", "email": "mia@example.com"}, 409),
    ("PATCH /admin/users/{Mia}", {"first_name": "Eva", "role": "employee"}, 409),
    ("PUT /admin/users/{Ada}/deactivate", None, 409),
    ("PUT /admin/users/{Mia}/assign-manager?manager_id={Mia}", None, 409),
    ("PUT /admin/users/{Ana}/password", {"password": "short"}, 422),
    ("PATCH /auth/me", {"time_zone": "Mars/Base"}, 422),
    ("POST /admin/projects", {"name": "WEBSITE"}, 409),
    ("PATCH /admin/projects/{Website}", {"name": "secret", "is_active": False}, 409),
    ("PUT /admin/projects/{Website}/members/2000000000", None, 404),
    ("POST /time-entries/clock-in", {"project_id": 2_000_000_000, "description": ""}, 404),
    ("POST /time-entries/clock-out", None, 409),
    ("POST /time-entries/{Anas}/clock-out", None, 403),
    ("PUT /admin/timesheet-rules/{February}", {"period": "week"}, 409),
    ("DELETE /admin/timesheet-rules/{July}", None, 404),
    ("PUT /admin/lock", {"before_day": "2999-01-01", "reason": "Too late"}, 422),
    ("POST /timesheets/{Ana}/{March}/submit", None, 422),
    ("POST /timesheets/{Ana}/{February}/withdraw", None, 403),
    ("POST /timesheets/{Ana}/{January}/approve", None, 409),
    ("POST /timesheets/approve", {"timesheets": APPROVABLE_AND_APPROVED}, 409),
    ("POST /timesheets/{Ana}/{February}/reopen", {"reason": "Forgot"}, 409),
    ("POST /timesheets/{Mia}/{January}/approve", None, 409),
]


class Office:
    """Test data: an admin, a manager with one direct report, a deactivated user, two projects and an entry.

    Timesheets are months. January of the direct report is approved, and February submitted.
    """

    def __init__(self, people, as_user, database):
        mia = people.manager("Mia")
        ana = people.employee("Ana", manager=mia)
        users = (people.admin("Ada"), mia, ana, people.employee("Dan", is_active=False))
        website, secret = people.project("Website"), people.project("Secret", members=(ana,))
        entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
        self.ids = {each.first_name: each.id for each in users} | {"Website": website.id, "Secret": secret.id}
        self.ids |= {"Anas": entry, "next": users[-1].id + 1}
        self.callers = {each.first_name: as_user(each) for each in users}
        self.database = database
        self._add_timesheets()
        self.new_events = AuditLog(database).new_events

    def _add_timesheets(self):
        months = ("January", "February", "March", "April", "May", "June", "July")
        self.ids |= {month: f"2026-{number:02}-01" for number, month in enumerate(months, start=1)}
        answers = [
            self.ask("Ada", "PUT /admin/timesheet-rules/{January}", body={"period": "month"}),
            self.ask("Ada", "PUT /admin/timesheet-rules/{June}", body={"period": "two_weeks"}),
            self.ask("Ana", "POST /timesheets/{Ana}/{January}/submit"),
            self.ask("Mia", "POST /timesheets/{Ana}/{January}/approve"),
            self.ask("Ana", "POST /timesheets/{Ana}/{February}/submit"),
        ]
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        with self.database.read_transaction() as session:
            january, february = session.scalars(select(TIMESHEET.c.id).order_by(TIMESHEET.c.first_day)).all()
        sheets = {"January": january, "February": february, "March": february + 1}
        self.ids |= {f"{month} timesheet": sheet_id for month, sheet_id in sheets.items()}

    def ask(self, caller, operation, *, body=None, form=None, csv=None):
        method, path = operation.format(**self.ids).split(" ", 1)
        headers = {"X-Request-ID": "request-7"}
        if csv is not None:
            headers["Content-Type"] = "text/csv"
            return self.callers[caller].request(method, path, content=csv, headers=headers)
        return self.callers[caller].request(method, path, json=self.fill_in(body), data=form, headers=headers)

    def fill_in(self, value, **more):
        ids = self.ids | more
        if isinstance(value, dict):
            return {name: self.fill_in(each, **more) for name, each in value.items()}
        if isinstance(value, list):
            return [self.fill_in(each, **more) for each in value]
        return ids[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value


@pytest.fixture
def office(people, as_user, server):
    return Office(people, as_user, server.database)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.action)
def test_a_change_leaves_one_event_that_says_who_did_what(office, change):
    before = utc_now()
    answer = office.ask(change.caller, change.operation, body=change.body, form=change.form, csv=change.csv)

    assert answer.status_code < 300
    new = answer.json()["id"] if "{new}" in {change.subject, change.object} else None
    (event,) = office.new_events()
    assert event.action == change.action
    assert event.object_type == change.action.partition(":")[0]
    assert event.actor_id == office.ids[change.caller]
    assert event.subject_id == office.fill_in(change.subject, new=new)
    assert event.object_id == office.fill_in(change.object, new=new)
    assert event.before == office.fill_in(change.before)
    assert event.after == office.fill_in(change.after)
    assert (event.reason, event.request_id) == (change.reason, "request-7")
    assert before <= event.at <= utc_now()


def test_every_operation_that_changes_something_has_an_event(server):
    paths = openapi_document()["paths"].items()
    changing = {f"{method.upper()} {path}" for path, methods in paths for method in methods if method != "get"}
    recorded = (
        [change.operation.partition("?")[0] for change in CHANGES] + ENTRY_OPERATIONS + ACCOUNT_OPERATIONS + UNRECORDED
    )

    def plain(operations):
        return {re.sub(r"\{\w+\}", "{}", operation.replace("/api/v1", "")) for operation in operations}

    assert plain(changing) - plain(recorded) == set()


def test_a_clock_in_and_a_clock_out_leave_an_event_each(office):
    started = office.ask("Ana", "POST /time-entries/clock-in", body=clock_in_on(office, "Website")).json()
    (clocked_in,) = office.new_events()
    ended = office.ask("Ana", "POST /time-entries/clock-out").json()
    (clocked_out,) = office.new_events()

    assert (clocked_in.action, clocked_out.action) == ("time_entry:clock_in", "time_entry:clock_out")
    for event in (clocked_in, clocked_out):
        assert event.actor_id == event.subject_id == office.ids["Ana"]
        assert (event.object_id, event.reason, event.request_id) == (started["id"], None, "request-7")
    assert (clocked_in.before, clocked_in.after) == (None, audited_fields(started))
    assert (clocked_out.before, clocked_out.after) == (audited_fields(started), audited_fields(ended))


def test_clocking_out_of_a_named_entry_leaves_the_same_event(office):
    started = office.ask("Ana", "POST /time-entries/clock-in", body=clock_in_on(office, "Website")).json()
    office.new_events()

    ended = office.ask("Ana", f"POST /time-entries/{started['id']}/clock-out").json()

    (event,) = office.new_events()
    assert (event.action, event.object_id) == ("time_entry:clock_out", started["id"])
    assert (event.before, event.after) == (audited_fields(started), audited_fields(ended))


def test_a_switch_leaves_an_event_for_each_of_its_two_entries(office):
    first = office.ask("Ana", "POST /time-entries/clock-in", body=clock_in_on(office, "Website")).json()
    office.new_events()

    second = office.ask("Ana", "POST /time-entries/clock-in?switch=true", body=clock_in_on(office, "Secret")).json()

    closed, opened = office.new_events()
    assert [(closed.action, closed.object_id), (opened.action, opened.object_id)] == [
        ("time_entry:switch", first["id"]),
        ("time_entry:clock_in", second["id"]),
    ]
    assert closed.before == audited_fields(first)
    assert closed.after == audited_fields(first) | {"end_time": second["start_time"], "version": 2}
    assert opened.after == audited_fields(second)


def test_deactivation_says_in_the_entrys_history_who_closed_it(office):
    started = office.ask("Ana", "POST /time-entries/clock-in", body=clock_in_on(office, "Website")).json()
    office.new_events()

    office.ask("Ada", "PUT /admin/users/{Ana}/deactivate")

    closed, deactivated = office.new_events()
    assert (closed.action, closed.object_id) == ("time_entry:close_on_deactivation", started["id"])
    assert (closed.actor_id, closed.subject_id) == (office.ids["Ada"], office.ids["Ana"])
    assert (closed.before, closed.after["end_time"] is not None) == (audited_fields(started), True)
    assert (deactivated.action, deactivated.subject_id) == ("user:deactivate", office.ids["Ana"])


def test_what_changes_nothing_leaves_no_event(office):
    answers = [office.ask("Ada", operation, body=body) for operation, body in UNCHANGED]

    assert {answer.status_code for answer in answers} == {200, 204}
    assert office.new_events() == []


def test_a_refused_change_leaves_neither_an_event_nor_a_trace(office):
    before = business_rows(office.database)

    answers = [office.ask("Ada", operation, body=body) for operation, body, _ in REFUSED]

    assert [answer.status_code for answer in answers] == [status for *_, status in REFUSED]
    assert office.new_events() == []
    assert business_rows(office.database) == before


def test_a_switch_that_fails_behind_its_first_step_leaves_no_event(office):
    office.ask("Ana", "POST /time-entries/clock-in", body=clock_in_on(office, "Website"))
    office.ask("Ada", "PATCH /admin/projects/{Secret}", body={"is_active": False})
    office.new_events()

    refused = office.ask("Ana", "POST /time-entries/clock-in?switch=true", body=clock_in_on(office, "Secret"))

    assert refused.status_code == 409
    assert office.new_events() == []


def test_a_change_undone_behind_its_event_takes_the_event_along(database):
    with pytest.raises(ZeroDivisionError), database.write_transaction("request-7") as session:
        recorder.record(session, "project:create", at=utc_now(), actor_id=None, object_id=1)
        1 / 0  # noqa: B018 - whatever breaks a request behind its event

    assert count(database) == 0


def test_reading_changes_no_business_rows(office, server):
    before = business_rows(office.database)
    named = {"user_id": office.ids["Ana"], "project_id": office.ids["Secret"], "entry_id": office.ids["Anas"]}
    named |= {"token_id": 1, "first_day": office.ids["January"]}
    paths = [path.format(**named) for path, methods in openapi_document()["paths"].items() if "get" in methods]
    query = f"{PERIOD}&month=2026-03&group_by=user&since={hours_ago(1)}"
    urls = [f"{path}?{query}" if "/reports/" in path or path.endswith("/me") else path for path in paths]

    answers = [office.callers[name].at_root("GET", each) for each in urls for name in ("Ada", "Mia", "Ana")]

    assert {answer.status_code for answer in answers} <= {200, 204, 403, 404}
    assert business_rows(office.database) == before
    files = ("csv", "xlsx", "json", "timesheet", "own_data", "people", "payroll")
    assert {event.action for event in office.new_events()} == {f"export:{file}" for file in files}


def test_what_the_operator_adds_has_no_actor(people, database):
    audit_log = AuditLog(database)
    ana, website = people.employee("Ana"), people.project("Website")

    assert [(event.action, event.actor_id, event.subject_id, event.object_id) for event in audit_log.new_events()] == [
        ("user:create", None, ana.id, ana.id),
        ("project:create", None, None, website.id),
    ]


UPSERT = """
    INSERT INTO audit_event (chain_id, position, at, action, object_type, request_id, key_id, link)
    SELECT chain_id, position, at, 'project:forged', object_type, request_id, key_id, link FROM audit_event WHERE TRUE
    ON CONFLICT (chain_id, position) DO UPDATE SET action = excluded.action
"""
REWRITES = [
    "UPDATE audit_event SET reason = 'forged'",
    "UPDATE audit_event SET position = position + 1",
    "UPDATE audit_event SET personal = NULL",
    "DELETE FROM audit_event",
    "DELETE FROM audit_event WHERE position = 1",
    UPSERT,
    "UPDATE audit_chain SET length = length - 1",
    "UPDATE audit_chain SET length = length + 2",
    "UPDATE audit_chain SET last_link = 'forged'",
    "UPDATE audit_chain SET chain_id = chain_id + 100",
    "DELETE FROM audit_chain",
]
SQLITE_REWRITES = [
    """INSERT OR REPLACE INTO audit_event (chain_id, position, at, action, object_type, request_id, key_id, link)
       SELECT chain_id, position, at, 'project:forged', object_type, request_id, key_id, link FROM audit_event""",
    "REPLACE INTO audit_event SELECT * FROM audit_event",
    "UPDATE OR REPLACE audit_event SET position = 1",
    "REPLACE INTO audit_chain SELECT chain_id, length, 'forged' FROM audit_chain",
]
POSTGRESQL_REWRITES = [
    "TRUNCATE audit_event",
    "TRUNCATE audit_event, time_entry RESTART IDENTITY CASCADE",
    "TRUNCATE audit_chain",
]


@pytest.mark.parametrize(
    ("engine", "rewrites"), [(SQLITE, REWRITES + SQLITE_REWRITES), (POSTGRESQL, REWRITES + POSTGRESQL_REWRITES)]
)
def test_the_record_is_never_rewritten(database, people, rewrites):
    people.employee("Ana")
    people.employee("Bob")
    with database.read_transaction() as session:
        before = [session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in RECORD_TABLES]

    for rewrite in rewrites:
        with (
            pytest.raises(IntegrityError, match=r"audit_(event_is_append_only|chain_only_grows)"),
            database.write_transaction() as session,
        ):
            session.execute(text(rewrite))

    with database.read_transaction() as session:
        after = [session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in RECORD_TABLES]
    assert after == before


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_stranger_to_our_pragmas_rewrites_nothing_either(db_url, database, people):
    """On a plain SQLite connection, recursive triggers are off, so REPLACE does not fire DELETE triggers."""
    people.employee("Ana")

    with closing(sqlite3.connect(str(make_url(db_url).database))) as stranger:
        for replacing in SQLITE_REWRITES:
            with pytest.raises(sqlite3.IntegrityError, match=r"audit_(event_is_append_only|chain_only_grows)"):
                stranger.execute(replacing)


def clock_in_on(office, project):
    return {"project_id": office.ids[project], "description": "Landing page"}


def audited_fields(entry):
    """Return the fields of an entry that its audit events hold."""
    recorded = ("project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version")
    return {name: entry[name] for name in recorded}


def business_rows(database):
    with database.read_transaction() as session:
        return {name: sorted(map(repr, session.execute(text(f'SELECT * FROM "{name}"')))) for name in BUSINESS_TABLES}


def count(database):
    with database.read_transaction() as session:
        return session.execute(select(func.count()).select_from(AUDIT_EVENT)).scalar_one()
