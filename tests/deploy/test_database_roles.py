"""Two database roles: the owner migrates, and a role without rights over the tables serves (docs/operations.md)."""

import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg2
import pytest
from sqlalchemy.engine import URL

from app.core.database.migrations import migrate, open_database
from app.core.database.postgresql.dump import find_program
from app.core.time.clock import utc_now
from app.models.metadata import all_tables, required_privileges
from app.services.operations.startup import prepare
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import Caller, Server, run_server
from tests.support.postgresql import connect, execute
from tests.support.server_process import ROOT

GRANTS = ROOT / "deploy" / "postgresql" / "service_role.sql"
ROLE_PASSWORD = "letters-and-digits-1"
RIGHTS = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"


@dataclass(frozen=True)
class Roles:
    """The URLs of a database as its owner and as the role that serves."""

    owner: URL
    service: URL


@pytest.fixture
def roles(postgresql_server) -> Iterator[Roles]:
    """Create the two roles and a migrated database, under names that no other test uses."""
    owner = f"ett_{uuid.uuid4().hex}"
    service = f"{owner}_service"
    urls = [postgresql_server.set(username=name, password=ROLE_PASSWORD, database=owner) for name in (owner, service)]
    try:
        for name in (owner, service):
            execute(postgresql_server, f"CREATE ROLE \"{name}\" LOGIN {RIGHTS} PASSWORD '{ROLE_PASSWORD}'")
        execute(postgresql_server, f'CREATE DATABASE "{owner}" OWNER "{owner}"')
        with open_database(settings_for(as_text(urls[0]))) as database:
            migrate(database)
        script = re.sub(
            r"\b(tracking_service|ett)\b",
            lambda role: service if role[1] == "tracking_service" else owner,
            GRANTS.read_text(),
        )
        psql = [find_program("psql", at_least=15), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]
        url = as_text(urls[0].set(drivername="postgresql"))
        subprocess.run([*psql, url], input=script, text=True, check=True, env=os.environ)
        yield Roles(*urls)
    finally:
        execute(postgresql_server, f'DROP DATABASE IF EXISTS "{owner}" WITH (FORCE)')
        for name in (service, owner):
            execute(postgresql_server, f'DROP ROLE IF EXISTS "{name}"')


@contextmanager
def serving(roles) -> Iterator[tuple[Server, Caller]]:
    """Run a service under the serving role, with a client of its first admin, Ada."""
    settings = settings_for(as_text(roles.service), FIRST_ADMIN_EMAIL="ada@example.com", FIRST_ADMIN_PASSWORD=PASSWORD)
    prepare(settings, at=utc_now())
    with run_server(settings) as server, server.caller() as anonymous:
        form = {"username": "ada@example.com", "password": PASSWORD}
        token = anonymous.post("/auth/login", data=form).json()["access_token"]
        with server.caller(token) as ada:
            yield server, ada


def as_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def readiness(server):
    with server.caller() as probe:
        return probe.get(f"{server.base_url}/health/ready")


def test_a_day_of_a_company_works_under_the_serving_role(roles, run_cli, tmp_path):
    with serving(roles) as (server, ada):
        website = ada.post("/admin/projects", json={"name": "Website"}).json()
        ana = {"email": "ana@example.com", "first_name": "Ana", "last_name": "Silva", "role": "employee"}
        created = ada.post("/admin/users", json=ana | {"password": PASSWORD}).json()
        with server.caller() as anonymous:
            tokens = anonymous.post("/auth/login", data={"username": ana["email"], "password": PASSWORD}).json()
            assert anonymous.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 200
        with server.caller(tokens["access_token"]) as me:
            started = me.clock_in(website["id"])
            assert started.status_code == 200
            assert me.clock_out().status_code == 200
            entry = f"/time-entries/{started.json()['id']}"
            assert me.patch(entry, json={"description": "Menu"}).status_code == 200
            assert me.delete(entry, params={"reason": "wrong day"}).status_code == 204
            assert me.post("/auth/totp").status_code == 200
        assert ada.put(f"/admin/projects/{website['id']}/members/{created['id']}").status_code in {200, 204}
        assert ada.delete(f"/admin/projects/{website['id']}/members/{created['id']}").status_code == 204
        assert ada.put(f"/admin/users/{created['id']}/deactivate").status_code == 200
        today = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
        assert ada.get("/reports/export/csv", params=today | {"scope": "all"}).status_code == 200
        assert ada.put("/admin/timesheet-rules/2026-01-01", json={"period": "month"}).status_code == 200
        assert ada.put("/admin/timesheet-rules/2026-02-01", json={"period": "month"}).status_code == 200
        assert ada.delete("/admin/timesheet-rules/2026-02-01").status_code == 204
        assert ada.put("/admin/lock", json={"before_day": "2026-01-01", "reason": "Paid"}).status_code == 200
        sheet = f"/timesheets/{created['id']}/2026-01-01"
        for action, body in (("submit", {"reason": "ill"}), ("approve", {}), ("reopen", {"reason": "again"})):
            assert ada.post(f"{sheet}/{action}", json=body).status_code == 200
        assert readiness(server).status_code == 200
    for command in (["verify-audit"], ["erase-user", str(created["id"]), "--yes"], ["backup", str(tmp_path / "it")]):
        result = run_cli(*command, DB_URL=as_text(roles.service), RETENTION_DAYS="0")
        assert result.exit_code == 0, result.output


FORBIDDEN = (
    "ALTER TABLE time_entry DROP CONSTRAINT ex_time_entry_no_overlap",
    "ALTER TABLE audit_event DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_event_append_only_row ON audit_event",
    "TRUNCATE time_entry",
    "DROP TABLE time_entry",
    "CREATE TABLE another (id int)",
    "CREATE OR REPLACE FUNCTION audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "UPDATE audit_event SET action = 'x'",
    "DELETE FROM audit_event",
    'DELETE FROM "user"',
    "DELETE FROM timesheet",
    "DELETE FROM payroll_lock",
    "DROP TRIGGER time_entry_locked_update ON time_entry",
    "UPDATE alembic_version SET version_num = 'x'",
    "SET session_replication_role = replica",
    "CREATE ROLE another",
)


def test_the_serving_role_alters_empties_and_drops_nothing(roles):
    for statement in FORBIDDEN:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), closing(connect(roles.service)) as connection:
            connection.cursor().execute(statement)


def test_the_serving_role_has_the_privileges_that_the_readiness_check_requires_also_on_new_tables(roles):
    execute(roles.owner, "CREATE TABLE added_later (id int)")
    expected = required_privileges() | {"added_later": ("SELECT", "INSERT", "UPDATE", "DELETE")}

    with open_database(settings_for(as_text(roles.service))) as database, database.read_transaction() as session:
        missing = session.find_missing_privileges(expected)

    assert missing == []
    assert expected.keys() > set(all_tables().tables)


def test_a_lost_privilege_is_503_in_requests_and_the_readiness_check_says_which(roles, capfd):
    with serving(roles) as (server, ada):
        website = ada.post("/admin/projects", json={"name": "Website"}).json()
        execute(roles.owner, f'REVOKE INSERT ON time_entry FROM "{roles.service.username}"')
        execute(roles.owner, f'REVOKE ALL ON SEQUENCE user_id_seq FROM "{roles.service.username}"')

        refused, ready = ada.clock_in(website["id"]), readiness(server)

        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert (ready.status_code, ready.json()["code"]) == (503, "database_unavailable")
        log = capfd.readouterr().err
        assert re.search(r"error +database_privilege_missing .*permission denied for table time_entry", log)
        assert re.search(r"error +database_privilege_missing missing=\"INSERT on time_entry, USAGE on user_id_seq", log)
        execute(roles.owner, f'GRANT INSERT ON time_entry TO "{roles.service.username}"')
        execute(roles.owner, f'GRANT USAGE ON SEQUENCE user_id_seq TO "{roles.service.username}"')
        assert ada.clock_in(website["id"]).status_code == 200
        assert readiness(server).status_code == 200
