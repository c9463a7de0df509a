"""A database of version 0.5 still serves and verifies, and its backup still restores."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app.core.database.session import Database
from app.core.time.clock import utc_now
from app.models.tables import ENTRY
from tests.support.cli import empty_database
from tests.support.databases import settings_for
from tests.support.releases import extract_release, run_command_of
from tests.support.server_process import TLS, Backend

pytestmark = [pytest.mark.system, pytest.mark.high_volume]  # runs code of another release
PASSWORD = "a company of a year ago"
ADMIN, EMPLOYEE = "ada.silva@example.com", "bob.test@example.com"


def call(backend: Backend, method: str, path: str, token: str, **options) -> dict:
    header = {"Authorization": f"Bearer {token}"}
    answer = httpx.request(method, f"{backend.base_url}/api/v1{path}", headers=header, verify=TLS, **options)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else {}


def log_in(backend: Backend, email: str) -> str:
    form = {"username": email, "password": PASSWORD}
    answer = httpx.post(f"{backend.base_url}/api/v1/auth/login", data=form, verify=TLS)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def entries(db_url: str) -> list[tuple]:
    with closing(Database(settings_for(db_url))) as database, database.read_transaction() as session:
        return [tuple(row) for row in session.execute(select(ENTRY).order_by(ENTRY.c.id))]


@pytest.fixture
def db_url(engine, tmp_path, postgresql_server) -> Iterator[str]:
    """Return the DB_URL of a database of 0.5: the demo company, and punches and corrections of a new user over HTTP.

    Its backup is the file `old`.
    """
    release = extract_release(tmp_path, "0.5.0")
    with empty_database(engine, tmp_path, postgresql_server) as url:
        run_command_of(release, url, "migrate")
        run_command_of(release, url, "demo")
        run_command_of(release, url, "create-admin", ADMIN, stdin=PASSWORD)
        backend = Backend(url, tmp_path, root=release)
        try:
            ada = log_in(backend, ADMIN)
            names = {"first_name": "Bob", "last_name": "Test", "email": EMPLOYEE, "password": PASSWORD}
            call(backend, "POST", "/admin/users", ada, json=names | {"role": "employee"})
            project = call(backend, "POST", "/admin/projects", ada, json={"name": "Landing pages"})["id"]
            bob = log_in(backend, EMPLOYEE)
            call(backend, "POST", "/time-entries/clock-in", bob, json={"project_id": project, "description": "x"})
            entry = call(backend, "POST", "/time-entries/clock-out", bob)["id"]
            change = {"description": "Landing page", "reason": "Typing error"}
            call(backend, "PATCH", f"/time-entries/{entry}", bob, json=change)
        finally:
            backend.kill()
        run_command_of(release, url, "backup", str(tmp_path / "old"))
        yield url


def test_a_database_of_0_5_serves_and_verifies_and_a_baseline_covers_the_rest(db_url, run_cli, tmp_path, engine):
    assert run_cli("migrate", DB_URL=db_url).exit_code == 0
    verified = run_cli("verify-audit", DB_URL=db_url)
    assert verified.exit_code == 0, verified.stderr
    assert "Not covered: 32 values of user.password_hash." in verified.stdout

    assert run_cli("audit-baseline", DB_URL=db_url).exit_code == 0

    assert "Not covered" not in run_cli("verify-audit", DB_URL=db_url).stdout
    backend = Backend(db_url, tmp_path)
    try:
        bob = log_in(backend, EMPLOYEE)
        days = {"start_date": str(utc_now().date() - timedelta(1)), "end_date": str(utc_now().date())}
        (entry,) = call(backend, "GET", "/time-entries/me", bob, params=days)
        assert entry["description"] == "Landing page"
    finally:
        backend.kill()


def test_a_backup_of_0_5_comes_back_when_the_operator_says_so(db_url, run_cli, tmp_path, engine, postgresql_server):
    with empty_database(engine, tmp_path, postgresql_server) as other:
        refused = run_cli("restore", "old", DB_URL=other)
        restored = run_cli("restore", "--skip-verification", "old", DB_URL=other)
        verified = run_cli("verify-audit", DB_URL=other)

        run_cli("migrate", DB_URL=db_url)
        assert (refused.exit_code, restored.exit_code, verified.exit_code) == (1, 0, 0)
        assert "The backup is not authenticated." in refused.stderr
        assert len(entries(other)) > 1000
        assert entries(other) == entries(db_url)
