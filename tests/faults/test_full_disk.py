"""A full disk fails writes only, and the service recovers when space is free again (threats F4)."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.support.databases import SQLITE, settings_for
from tests.support.in_process_server import run_server

pytestmark = pytest.mark.system

PUNCHES = 20


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 4 MB. Needs root, because only a real file system fails like a full disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True, capture_output=True)
    yield folder
    subprocess.run(["umount", folder], check=True, capture_output=True)


@pytest.fixture
def server(db_url, small_disk):
    """Run the service with its database on the small disk."""
    file = shutil.copy(make_url(db_url).database, small_disk)
    with run_server(settings_for(f"sqlite:///{file}")) as running_server:
        yield running_server


@contextmanager
def insufficient_storage(disk):
    """Fill the disk to its last byte, and delete the file at the end."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 512)
    yield
    ballast.unlink()


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_full_disk_refuses_punches_answers_reads_and_heals(people, server, as_user, small_disk, engine):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    entry = me.clock_in(website.id).json()

    with insufficient_storage(small_disk):
        failed = [me.clock_out() for _ in range(PUNCHES)]
        current = me.get("/time-entries/current")

    assert {(answer.status_code, answer.json()["code"]) for answer in failed} == {(503, "database_unavailable")}
    assert all(answer.headers["Retry-After"] for answer in failed)
    assert (current.status_code, current.json()["id"]) == (200, entry["id"])
    assert me.clock_out().json()["id"] == entry["id"]
    with server.database.read_transaction() as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
