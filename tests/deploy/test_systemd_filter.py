"""The system call filter of the units allows every call that the service needs."""

import os
import subprocess
import sys

import httpx
import pytest

from tests.deploy.systemd_sandbox import sandbox_command
from tests.support.databases import SECRET_KEY
from tests.support.factories import PASSWORD
from tests.support.server_process import ROOT, TLS, Backend

pytestmark = pytest.mark.system

SERVICE = ROOT / "deploy" / "systemd" / "employee-time-tracking.service"
BACKUP = ROOT / "deploy" / "systemd" / "employee-time-tracking-backup.service"
NOVEMBER = {"start_date": "2026-11-01", "end_date": "2026-11-30"}
PATHS = {
    "/reports/export/csv": NOVEMBER,
    "/reports/export/xlsx": NOVEMBER,
    "/reports/export/pdf": {"month": "2026-11"},
}


@pytest.fixture
def mia(people):
    return people.manager("Mia")


@pytest.mark.parametrize("without", ["", "setpriority"], ids=["as it is", "where nobody may step back"])
def test_a_manager_logs_in_punches_and_exports_under_the_units_filter(mia, people, db_url, tmp_path, without):
    website = people.project("Website")
    backend = Backend(db_url, tmp_path, workers=2, command_prefix=sandbox_command(SERVICE, without=without))
    with httpx.Client(base_url=f"{backend.base_url}/api/v1", verify=TLS) as client:
        login = client.post("/auth/login", data={"username": mia.email, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login.json().get('access_token')}"
        punch = client.post("/time-entries/clock-in", json={"project_id": website.id, "description": ""})
        reports = [client.get(path, params=params, timeout=30) for path, params in PATHS.items()]
    code = backend.stop()

    assert [answer.status_code for answer in (login, punch, *reports)] == [200] * 5
    assert code == 0


def test_a_backup_is_taken_under_its_units_filter(mia, db_url, tmp_path):
    file = tmp_path / "2026-11-29.backup"
    result = subprocess.run(
        [*sandbox_command(BACKUP), sys.executable, "-m", "app.cli", "backup", file],
        cwd=ROOT,
        env=os.environ | {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, file.exists()) == (0, True), result.stderr
