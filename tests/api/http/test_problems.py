"""Every error is a problem response with a status, a code and a sentence (rules: The API, threats 27)."""

import json
import sqlite3
import uuid
from collections import defaultdict
from contextlib import closing, contextmanager

import httpx
import psycopg2
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.api.http.problems import STATUS, status_of
from app.core.database.migrations import ROOT
from app.core.errors import DomainError
from tests.support.databases import POSTGRESQL, SQLITE, TEMPLATE, settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import PROBLEM, openapi_document, run_server
from tests.support.metrics import Scrape
from tests.support.openapi_operations import LOGINS, OPERATIONS
from tests.support.postgresql import execute

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"17",
    b"true",
    b"NaN",
    b"\x00",
    b"\xff\xfe\x00",
    b'{"project_id": 1, "description": "a\x00b"}',
    b'{"project_id": 1, "description": "\xc3\x28"}',
    b'{"project_id": 1, "description": ""}{"project_id": 1, "description": ""}',
    b'{"project_id": 1, "description": "",}',
    b"{'project_id': 1, 'description': ''}",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"project_id": ' * 50_000,
    b'{"project_id": 1, "description": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"project_id": ' + b"9" * 5_000 + b', "description": ""}',
    b'{"project_id": 1' + b"0" * 4_000 + b', "description": ""}',
    b'{"project_id": 1e' + b"9" * 5_000 + b', "description": ""}',
    b'{"' + b"k" * 100_000 + b'": 1}',
    b"{" + b",".join(b'"k%d": 1' % number for number in range(10_000)) + b"}",
]
FORMS = [
    ("", b"username=ana%40example.com"),
    ("multipart/form-data", b"username=ana@example.com"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"),
    ("multipart/form-data; boundary=" + "x" * 500, b"--x"),
    ("application/x-www-form-urlencoded", b""),
    ("application/x-www-form-urlencoded", b"username=ana%40example.com"),
    ("application/x-www-form-urlencoded", b"&" * 16_000),
    ("application/x-www-form-urlencoded", b"a=1&" * 4_000),
    ("application/x-www-form-urlencoded", b"username=%00&password=%00"),
    ("application/x-www-form-urlencoded", b"username=a&password=%07"),
]
FIELDS = {"type", "title", "status", "detail", "code", "instance", "request_id"}


def kinds_of(family: type[DomainError]) -> list[type[DomainError]]:
    return [kind for child in family.__subclasses__() for kind in (child, *kinds_of(child))]


KINDS = [kind for kind in kinds_of(DomainError) if hasattr(kind, "code")]
CODES = {
    401: [
        "invalid_credentials",
        "invalid_link",
        "invalid_otp",
        "invalid_refresh_token",
        "metrics_token_required",
        "not_authenticated",
        "otp_required",
    ],
    403: [
        "cross_site_request",
        "current_password_required",
        "edit_window_closed",
        "enrollment_discarded",
        "invalid_code",
        "invalid_password",
        "not_your_entry",
        "not_your_timesheet",
        "own_account",
        "own_timesheet",
        "password_change_required",
        "role_required",
        "scope_required",
        "second_factor_locked",
        "second_factor_required",
    ],
    404: [
        "api_token_not_found",
        "entry_not_found",
        "manager_not_found",
        "project_not_found",
        "route_not_found",
        "session_not_found",
        "timesheet_not_found",
        "timesheet_rule_not_found",
        "user_not_found",
    ],
    405: ["method_not_allowed"],
    408: ["request_timeout"],
    409: [
        "already_clocked_in",
        "already_clocked_out",
        "bulk_refused",
        "email_taken",
        "enrollment_not_started",
        "entry_locked",
        "entry_overlaps",
        "entry_still_open",
        "has_reports",
        "last_admin",
        "manager_cycle",
        "manager_inactive",
        "manager_invalid",
        "manager_is_self",
        "no_second_factor",
        "not_clocked_in",
        "period_locked",
        "project_code_taken",
        "project_inactive",
        "project_name_taken",
        "request_in_flight",
        "retention_not_expired",
        "rule_in_use",
        "second_factor_exists",
        "timesheet_locked",
        "timesheet_not_over",
        "timesheet_not_submittable",
        "timesheet_status_conflict",
        "too_many_api_tokens",
        "user_inactive",
        "user_still_active",
    ],
    412: [
        "entry_changed",
        "lock_changed",
        "timesheet_changed",
    ],
    413: ["body_too_large"],
    415: ["csv_required", "form_required", "json_required", "unsupported_content_encoding"],
    421: ["host_not_allowed"],
    422: [
        "entry_in_future",
        "entry_too_early",
        "entry_too_long",
        "entry_too_short",
        "expiry_out_of_range",
        "idempotency_key_reused",
        "import_refused",
        "invalid_cursor",
        "lock_in_future",
        "password_unchanged",
        "period_reversed",
        "period_too_long",
        "reason_required",
        "rule_start_invalid",
        "summary_too_large",
        "too_many_entries",
        "too_many_rows",
        "validation_failed",
        "weak_password",
    ],
    429: ["login_limit_reached", "too_many_changes", "too_many_exports", "too_many_requests"],
    500: ["internal_error"],
    503: [
        "audit_key_unknown",
        "database_unavailable",
        "disk_space_low",
        "insufficient_storage",
        "mail_not_sent",
        "schema_outdated",
        "second_factor_unreadable",
        "server_clock_skew",
        "service_busy",
        "too_many_logins",
    ],
}
"""All error codes by status."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_a_code_and_a_title(kind):
    assert 400 <= status_of(kind) <= 599
    assert kind.code.replace("_", "").isalpha()
    assert kind.code.islower()
    assert kind.title
    assert "." not in kind.title


def test_codes_are_unique_and_a_client_can_rely_on_each_and_its_status():
    codes = defaultdict(list)
    for kind in KINDS:
        codes[status_of(kind)].append(kind.code)

    assert {status: sorted(of_status) for status, of_status in codes.items()} == CODES
    assert len(KINDS) == len({kind.code for kind in KINDS})


def test_every_family_has_a_status_of_its_own():
    families = DomainError.__subclasses__()

    assert set(STATUS) == set(families)
    assert len(set(STATUS.values())) == len(families)


def test_a_problem_has_the_fields_of_the_document(anonymous):
    answer = anonymous.get("/nowhere")

    problem = answer.json()
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == PROBLEM
    assert problem.keys() == FIELDS
    assert problem["type"] == "urn:employee-time-tracking:route_not_found"
    assert problem["instance"] == "/api/v1/nowhere"
    assert problem["detail"] == "No endpoint matches this path. See /docs for all endpoints."


@pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
def test_an_unknown_address_is_404_whatever_the_method(anonymous, method):
    for path in ("/nowhere", "/api/v2/auth/me", "/api/v1", "/admin", "/.env", "/%2e%2e/etc/passwd", "/é", "/a%00b"):
        answer = anonymous.at_root(method, path)

        assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found"), path


def test_a_method_that_an_address_does_not_take_is_405_and_says_which_it_takes(people, server):
    """Send every method to every path, as an admin. An unsupported one changes nothing, and Allow lists the others."""
    ada = people.admin("Ada")
    people.project("Website")
    before = dump_tables(server)
    headers = {"Authorization": f"Bearer {server.token(ada)}"}
    paths = {
        path: {*methods, "head"} if "get" in methods else set(methods)
        for path, methods in openapi_document()["paths"].items()
    }
    paths |= {"/docs": {"get", "head"}, "/openapi.json": {"get", "head"}}

    with httpx.Client(base_url=server.base_url, headers=headers) as client:
        for path, listed in paths.items():
            address = path.replace("{", "").replace("}", "")
            for method in METHODS:
                if method.lower() in listed:
                    continue
                answer = client.request(method, address)
                allowed = {name.strip().lower() for name in answer.headers.get("Allow", "").split(",")}
                assert (answer.status_code, allowed) == (405, listed), f"{method} {path}"
                if method != "HEAD":
                    assert answer.json()["code"] == "method_not_allowed"
    assert dump_tables(server) == before


def test_a_body_that_cannot_be_meant_is_422_and_changes_nothing(people, server, as_user):
    ana = as_user(people.employee("Ana"))
    people.project("Website")
    before = dump_tables(server)

    for body in BODIES:
        answer = ana.post("/time-entries/clock-in", content=body, headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), body[:50]
        assert len(answer.json()["detail"]) <= 1000
        assert len(answer.content) < 50_000
    assert dump_tables(server) == before


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.fields and each.name not in LOGINS], ids=lambda each: each.name
)
def test_a_body_that_is_not_sent_as_json_is_415_and_says_how_to_send_it(people, as_user, operation):
    people.project("Website")
    first_admin = as_user(people.admin("Ada"))

    for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense", ""):
        headers, body = {"Content-Type": content_type}, json.dumps({"project_id": 1})
        answer = first_admin.at_root(operation.method, operation.address, content=body, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (415, "json_required"), content_type
        assert answer.json()["detail"] == "The Content-Type is not application/json. Send the body as JSON."


def test_a_login_that_is_not_sent_as_a_form_is_415_and_says_how_to_send_it(people, anonymous):
    ana = people.employee("Ana")
    fields = {"username": ana.email, "password": PASSWORD}

    for content_type in ("application/json", "text/plain", "nonsense"):
        headers = {"Content-Type": content_type}
        answer = anonymous.post("/auth/login", content=json.dumps(fields), headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (415, "form_required"), content_type


def test_a_body_that_is_no_json_is_422_and_says_where_and_what_is_missing(people, as_user):
    ana, as_json = as_user(people.employee("Ana")), {"Content-Type": "application/json"}

    answer = ana.post("/time-entries/clock-in", content="{project_id: 1}", headers=as_json)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["loc"] == ["body", 1]
    assert answer.json()["detail"] == (
        "body.1: The body is not valid JSON at this character. Put names and texts in double quotes."
    )


def test_a_login_form_that_cannot_be_read_is_422(people, anonymous):
    people.employee("Ana")

    for content_type, body in FORMS:
        answer = anonymous.post("/auth/login", content=body, headers={"Content-Type": content_type})

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), (content_type, body[:50])


def test_a_validation_error_names_the_place_and_never_the_value(people, as_user):
    ada = as_user(people.admin("Ada"))
    body = {"email": "no address", "first_name": "", "last_name": "\x07", "role": "boss", "password": "hunter2"}

    answer = ada.post("/admin/users", json=body)

    places = {".".join(error["loc"]) for error in answer.json()["errors"]}
    assert places == {"body.email", "body.first_name", "body.last_name", "body.role", "body.password"}
    for value in ("no address", "boss", "hunter2"):
        assert value not in answer.text


def test_what_an_error_quotes_from_a_request_is_bounded(people, as_user):
    ada = as_user(people.admin("Ada"))

    answer = ada.post("/admin/projects", json={"x" * 5_000: 1, "name": "Website"})
    lost = ada.get("/" + "x" * 20_000)

    assert len(answer.json()["detail"]) < 500
    assert len(lost.json()["instance"]) == 2000


def test_a_plain_request_id_is_kept(anonymous):
    for sent in ("a", "7f3c-42.b_C", "x" * 64):
        answer = anonymous.get("/auth/me", headers={"X-Request-ID": sent})

        assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == sent


def test_any_other_request_id_is_replaced(anonymous):
    for sent in ("", "x" * 65, "a b", "a\tb", "<script>", "é", "%0d%0aX-Evil: 1", "a,b", "'--", "{}"):
        answer = anonymous.get("/auth/me", headers={"X-Request-ID": sent.encode("latin-1")})

        assert answer.headers["X-Request-ID"] == answer.json()["request_id"] != sent
        assert len(answer.headers["X-Request-ID"]) == 16


def test_each_request_gets_an_id_of_its_own(anonymous):
    assert anonymous.get("/auth/me").headers["X-Request-ID"] != anonymous.get("/auth/me").headers["X-Request-ID"]


def test_a_lost_database_is_503_until_it_is_back(postgresql_server):
    name = f"ett_{uuid.uuid4().hex}"
    create, drop = f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"', f'DROP DATABASE "{name}" WITH (FORCE)'
    url = postgresql_server.set(database=name).render_as_string(hide_password=False)
    form = {"username": "ana@example.com", "password": PASSWORD}
    execute(postgresql_server, create)
    with run_server(settings_for(url)) as server, server.caller() as anonymous:
        assert anonymous.at_root("GET", "/health/ready").status_code == 200
        anonymous.event_hooks = {"response": anonymous.event_hooks["response"]}  # the request hook reads the database

        execute(postgresql_server, drop)
        lost = anonymous.post("/auth/login", data=form)
        assert (lost.status_code, lost.json()["code"]) == (503, "database_unavailable")
        assert lost.headers["Retry-After"] == "2"
        assert anonymous.at_root("GET", "/health/ready").status_code == 503
        assert anonymous.at_root("GET", "/health/live").status_code == 200

        execute(postgresql_server, create)
        assert anonymous.post("/auth/login", data=form).status_code == 401
        assert anonymous.at_root("GET", "/health/ready").status_code == 200
    execute(postgresql_server, drop)


def test_a_row_that_stays_locked_is_503_and_changes_nothing(db_url):
    with run_server(settings_for(db_url, DB_LOCK_TIMEOUT_SECONDS=1)) as server:
        people = Company(server.database)
        ana, website = people.employee("Ana"), people.project("Website")
        with server.caller(server.token(ana)) as me:
            with lock_user(db_url, ana.id):
                refused = me.clock_in(website.id)
                current = me.get("/time-entries/current")
            started = me.clock_in(website.id)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert current.status_code == 204
    assert started.status_code == 200


def test_what_nobody_foresaw_is_a_500_that_tells_the_client_nothing_and_the_operator_all(db_url, capfd):
    with run_server(settings_for(db_url, LOG_FORMAT="json")) as server:
        ana = Company(server.database).employee("Ana")
        change(server, "ALTER TABLE project RENAME TO gone")
        capfd.readouterr()  # discard the text log of the shared server, which the process's first test starts

        answer = httpx.get(
            f"{server.base_url}/api/v1/projects", headers={"Authorization": f"Bearer {server.token(ana)}"}
        )

    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"], problem["code"]) == (500, PROBLEM, "internal_error")
    assert problem.keys() == FIELDS
    for word in ("project ", "no such table", "SELECT", "relation", "Traceback", "sqlalchemy"):
        assert word not in answer.text
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (unhandled_exception,) = [line for line in logged if line["event"] == "unhandled_exception"]
    assert unhandled_exception["request_id"] == problem["request_id"] == answer.headers["X-Request-ID"]
    assert "app/services/projects/projects.py" in unhandled_exception["exception"]
    assert "project" in unhandled_exception["exception"].splitlines()[-1]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_error_is_logged_without_the_values_that_it_quotes(engine, db_url, capfd, log_format):
    """PostgreSQL quotes the rejected row and SQLAlchemy the parameters, with e-mail addresses and password hashes."""
    rule = {
        SQLITE: "CREATE TRIGGER t BEFORE INSERT ON \"user\" BEGIN SELECT RAISE(ABORT, 'no more people'); END",
        POSTGRESQL: "ALTER TABLE \"user\" ADD CONSTRAINT c CHECK (first_name <> 'Nora')",
    }
    nora = {"email": "new@example.com", "first_name": "Nora", "last_name": "Neu", "role": "employee"}
    with run_server(settings_for(db_url, LOG_FORMAT=log_format)) as server:
        ada = Company(server.database).admin("Ada")
        change(server, rule[engine])

        answer = httpx.post(
            f"{server.base_url}/api/v1/admin/users",
            json=nora | {"password": PASSWORD},
            headers={"Authorization": f"Bearer {server.token(ada)}"},
        )

    logged = capfd.readouterr().err
    assert answer.status_code == 500
    assert "unhandled_exception" in logged
    for value in ("argon2id", "new@example.com", "Nora", PASSWORD):
        assert value not in logged


def change(server, statement):
    """Change the database without the service."""
    with server.database.write_transaction() as session:
        session.execute(text(statement))


@contextmanager
def lock_user(db_url, user_id):
    """Lock the user's row in another transaction (on SQLite: the file)."""
    url = make_url(db_url)
    if url.get_backend_name() == SQLITE:
        connection = sqlite3.connect(url.database, isolation_level=None)
        statement = "BEGIN IMMEDIATE"
    else:
        connection = psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname=url.database)
        statement = f'SELECT 1 FROM "user" WHERE id = {user_id} FOR UPDATE'
    with closing(connection):
        connection.cursor().execute(statement)
        yield


def dump_tables(server):
    tables = ("user", "project", "project_member", "time_entry", "time_zone", "audit_event")
    with server.database.read_transaction() as session:
        return {table: sorted(map(repr, session.execute(text(f'SELECT * FROM "{table}"')).all())) for table in tables}


def test_an_employees_endless_password_is_not_judged(people, server, as_user):
    """The strength check is slow, so it runs only for admins and never in the event loop."""
    ana = people.employee("Ana")

    refused = as_user(ana).put(f"/admin/users/{ana.id}/password", json={"password": "password1234"})

    assert refused.json()["code"] == "role_required"


def test_who_sends_no_token_is_told_so_before_anything_else(anonymous):
    backwards = {"start_date": "2026-03-02", "end_date": "2026-03-01"}

    assert anonymous.get("/time-entries/me", params=backwards).json()["code"] == "not_authenticated"


def test_debug_shows_the_traceback_to_the_developer(db_url):
    with run_server(settings_for(db_url, DEBUG=True)) as server:
        header = {"Authorization": f"Bearer {server.token(Company(server.database).employee('Ana'))}"}
        change(server, "ALTER TABLE project RENAME TO gone")

        answer = httpx.get(f"{server.base_url}/api/v1/projects", headers=header)

    assert answer.json()["code"] == "internal_error"
    assert "Traceback" in answer.json()["traceback"][0]


def test_a_database_that_lost_its_revision_is_not_ready(server, anonymous):
    with server.database.write_transaction() as session:
        session.execute(text("DROP TABLE alembic_version"))

    ready = anonymous.at_root("GET", "/health/ready")

    assert (ready.status_code, ready.json()["code"]) == (503, "schema_outdated")


def test_a_database_that_was_not_migrated_yet_is_not_ready(server, anonymous):
    first, *_ = ScriptDirectory(str(ROOT / "alembic")).walk_revisions("base", "head")
    with server.database.write_transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :older"), {"older": first.down_revision})

    ready = anonymous.at_root("GET", "/health/ready")

    assert (ready.status_code, ready.json()["code"]) == (503, "schema_outdated")
    assert "Run: python -m app.cli migrate" in ready.json()["detail"]


def test_a_worker_stays_ready_while_a_newer_version_migrates(server, anonymous):
    """Otherwise, a rolling upgrade would drain the old workers before the new ones start."""
    with server.database.write_transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '2999_from_the_future'"))

    ready = anonymous.at_root("GET", "/health/ready")

    assert (ready.status_code, ready.json()["revision"]) == (200, "2999_from_the_future")


def test_a_machine_without_room_on_its_disk_is_not_ready_and_says_for_what(db_url, engine):
    more_than_there_is = 10**9
    with run_server(settings_for(db_url, MIN_FREE_DISK_MB=more_than_there_is)) as server, server.caller() as anonymous:
        ready, live = (anonymous.at_root("GET", f"/health/{which}") for which in ("ready", "live"))
        current = Scrape(anonymous.at_root("GET", "/metrics"))

    assert (ready.status_code, ready.json()["code"]) == (503, "disk_space_low")
    assert ("database" in ready.json()["detail"]) == (engine == SQLITE)
    assert live.status_code == 200
    assert (current("ett_ready"), current("ett_database_up")) == (0, 1)


@pytest.mark.parametrize("name", ["\u200b", "Web\u200bsite", "\u202eetisbeW", "\ufeffWebsite"])
def test_a_name_has_no_characters_that_nobody_sees(people, as_user, name):
    refused = as_user(people.admin("Ada")).post("/admin/projects", json={"name": name})

    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


def test_a_slash_too_many_is_no_redirect_to_wherever_the_host_header_says(db_url):
    with run_server(settings_for(db_url, HOST="0.0.0.0")) as server, server.caller() as anonymous:
        refused = anonymous.get("/auth/me/", headers={"Host": "evil.example"})

    assert (refused.status_code, refused.json()["code"]) == (404, "route_not_found")
