"""An SQLite file that is deleted, replaced or emptied under the service gets no more writes (threats F15)."""

import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from tests.support.credentials import create_login_session
from tests.support.databases import SQLITE, settings_for
from tests.support.export_files import becomes_true
from tests.support.in_process_server import run_server
from tests.support.server_process import TLS, Backend, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", [SQLITE])]


@pytest.fixture
def file(db_url, tmp_path):
    return Path(shutil.copy(make_url(db_url).database, tmp_path / "live.db"))


@pytest.fixture
def server(file):
    with run_server(settings_for(f"sqlite:///{file}")) as running_server:
        yield running_server


@pytest.fixture
def ana(people, server):
    """A client of Ana, who is clocked in. Unlike a Caller it doesn't look into the database itself."""
    with clocked_in(server, people.employee("Ana"), people.project("Website")) as client:
        yield client


@contextmanager
def clocked_in(server, user, project):
    headers = {"Authorization": f"Bearer {server.token(user, is_recorded=True)}"}
    with httpx.Client(base_url=f"{server.base_url}/api/v1/time-entries", headers=headers, verify=TLS) as client:
        assert client.post("/clock-in", json={"project_id": project.id, "description": ""}).status_code == 200
        yield client


def delete(file):
    file.rename(file.with_suffix(".kept"))


def replace(file):
    """Put an older copy in the file's place, as `mv` does."""
    shutil.copy(file, older := file.with_suffix(".older"))
    shutil.copy(file, file.with_suffix(".kept"))
    file.rename(file.with_suffix(".kept"))
    older.rename(file)


def delete_both_logs(file):
    delete_log(file)
    file.with_name(f"{file.name}-shm").unlink()


def delete_log(file):
    file.with_name(f"{file.name}-wal").unlink()


def delete_index(file):
    file.with_name(f"{file.name}-shm").unlink()


def replace_log(file):
    log = file.with_name(f"{file.name}-wal")
    shutil.copy(log, older := file.with_suffix(".older"))
    older.rename(log)


def empty_log(file):
    os.truncate(file.with_name(f"{file.name}-wal"), 0)


def cut_off_log(file):
    log = file.with_name(f"{file.name}-wal")
    os.truncate(log, log.stat().st_size - 1)


def empty(file):
    os.truncate(file, 0)


@pytest.mark.parametrize("disturb", [delete, replace])
def test_no_punch_is_acknowledged_into_a_file_that_is_gone(server, ana, file, disturb):
    disturb(file)

    refused = [ana.post("/clock-out") for _ in range(20)]

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "database_unavailable")}
    assert httpx.get(f"{server.base_url}/health/ready", verify=TLS).json()["code"] == "database_unavailable"
    assert file.exists() == (disturb is replace)


def test_the_service_goes_on_when_its_file_is_back(ana, file):
    delete(file)
    assert ana.post("/clock-out").status_code == 503

    file.with_suffix(".kept").rename(file)

    assert ana.post("/clock-out").status_code == 200
    assert ana.get("/current").status_code == 204


@pytest.mark.parametrize(
    "disturb", [delete_both_logs, delete_log, delete_index, replace_log, empty_log, cut_off_log, empty]
)
def test_no_punch_is_acknowledged_that_a_crash_would_lose(server, ana, file, disturb):
    disturb(file)

    refused = [ana.post("/clock-out") for _ in range(20)]

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "database_unavailable")}
    assert httpx.get(f"{server.base_url}/health/ready", verify=TLS).json()["code"] == "database_unavailable"


def test_what_was_acknowledged_before_the_log_was_deleted_is_there_after_a_clean_stop(people, database, db_url):
    """SQLite copies the deleted log, which is still open, into the file."""
    user, project = people.employee("Ana"), people.project("Website")
    database.close()
    file = Path(str(make_url(db_url).database))
    with run_server(settings_for(db_url)) as server, clocked_in(server, user, project) as ana:
        delete_both_logs(file)
        assert ana.post("/clock-out").status_code == 503

    with closing(sqlite3.connect(file)) as reopened:
        assert reopened.execute("SELECT end_time FROM time_entry").fetchall() == [(None,)]


def test_a_command_does_not_go_on_from_an_older_state_beside_the_service(run_cli, ana, file):
    delete_both_logs(file)

    refused = run_cli("create-password-link", "1", DB_URL=f"sqlite:///{file}")

    assert refused.exit_code == 1
    assert f"file was deleted, and process {os.getpid()} still uses it" in refused.output
    assert not file.with_name(f"{file.name}-wal").exists()


def test_a_new_worker_does_not_go_on_from_an_older_state(people, database, db_url, tmp_path):
    """Otherwise it would acknowledge punches that the older worker overwrites when it stops."""
    file, user, project = Path(str(make_url(db_url).database)), people.employee("Ana"), people.project("Website")
    ana = sign_in(database, user)
    database.close()
    backend = Backend(db_url, tmp_path, workers=2)

    def clock_in():
        url, body = f"{backend.base_url}/api/v1/time-entries/clock-in", {"project_id": project.id, "description": ""}
        return httpx.post(url, headers=ana, json=body, verify=TLS).status_code

    def rejects_punches(worker):
        assert clock_in() == 503
        return re.search(rf"status=503 .*pid={worker}\b", backend.log.read_text()) is not None

    try:
        assert becomes_true(lambda: is_ready(backend) and all(uses_log(pid, file) for pid in workers_of(backend)))
        assert clock_in() == 200
        old, other = workers_of(backend)
        delete_both_logs(file)
        os.kill(old, signal.SIGKILL)
        assert becomes_true(lambda: len(set(workers_of(backend)) - {old, other}) == 1)
        (new,) = set(workers_of(backend)) - {old, other}
        assert becomes_true(lambda: rejects_punches(new))
        assert becomes_true(lambda: rejects_punches(other))
    finally:
        backend.stop()

    with closing(sqlite3.connect(file)) as reopened:
        assert reopened.execute("SELECT end_time FROM time_entry").fetchall() == [(None,)]


def sign_in(database, user):
    signer, session = TokenSigner(database.settings), create_login_session(database, user)
    return {"Authorization": f"Bearer {signer.sign(session.user_id, session.session_id, at=utc_now())}"}


def is_ready(backend):
    return httpx.get(f"{backend.base_url}/health/ready", verify=TLS).status_code == 200


def uses_log(pid, file):
    return f"{file}-wal" in {each.path for each in psutil.Process(pid).open_files()}


def test_a_command_beside_the_service_and_a_checkpoint_are_no_fault(run_cli, ana, file):
    assert run_cli("verify-audit", DB_URL=f"sqlite:///{file}").exit_code == 0
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert ana.post("/clock-out").status_code == 200


def test_a_restore_of_a_smaller_database_under_the_service_is_no_fault(run_cli, server, ana, file, tmp_path):
    url, backup = f"sqlite:///{file}", str(tmp_path / "small.backup")
    assert run_cli("backup", backup, DB_URL=url).exit_code == 0
    with closing(sqlite3.connect(file)) as grown:
        grown.execute("CREATE TABLE much AS SELECT zeroblob(1000000)")
        grown.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = file.stat().st_size

    assert run_cli("restore", backup, "--force", DB_URL=url).exit_code == 0

    assert file.stat().st_size < size
    assert httpx.get(f"{server.base_url}/health/ready", verify=TLS).status_code == 200


def test_the_log_may_be_another_one_after_all_connections_were_closed(db_url):
    """SQLite deletes it with the last connection, and creates another one with the next."""
    database = Database(settings_for(db_url))
    for _ in range(3):
        with database.write_transaction() as session:
            session.execute(text("SELECT 1"))
        database.close()
        assert not Path(f"{make_url(db_url).database}-wal").exists()
