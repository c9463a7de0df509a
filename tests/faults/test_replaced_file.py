"""An SQLite file that is deleted or replaced under the service gets no more writes (threats F15)."""

import shutil
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import SQLITE, settings_for
from tests.support.in_process_server import run_server

pytestmark = pytest.mark.parametrize("engine", [SQLITE])


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
    user, project = people.employee("Ana"), people.project("Website")
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    with httpx.Client(base_url=f"{server.base_url}/api/v1/time-entries", headers=headers) as client:
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


@pytest.mark.parametrize("disturb", [delete, replace])
def test_no_punch_is_acknowledged_into_a_file_that_is_gone(server, ana, file, disturb):
    disturb(file)

    refused = [ana.post("/clock-out") for _ in range(20)]

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "database_unavailable")}
    assert httpx.get(f"{server.base_url}/health/ready").json()["code"] == "database_unavailable"
    assert file.exists() == (disturb is replace)


def test_the_service_goes_on_when_its_file_is_back(ana, file):
    delete(file)
    assert ana.post("/clock-out").status_code == 503

    file.with_suffix(".kept").rename(file)

    assert ana.post("/clock-out").status_code == 200
    assert ana.get("/current").status_code == 204
