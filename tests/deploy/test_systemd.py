"""The systemd units, checked with systemd's own tools."""

import os
import re
import shlex
import subprocess
import sys
import time

import pytest

from app.cli.serve import SHUTDOWN_TIMEOUT_SECONDS
from tests.support.server_process import ROOT
from tests.support.system_packages import find_program

UNITS = ROOT / "deploy" / "systemd"
SERVICE = UNITS / "employee-time-tracking.service"
BACKUP = UNITS / "employee-time-tracking-backup.service"
INSTALLED = re.compile(r"/opt/employee-time-tracking/\.venv/bin/python")


@pytest.mark.system
@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.iterdir()))
def test_systemd_understands_every_line(unit, tmp_path):
    for path in UNITS.iterdir():
        (tmp_path / path.name).write_text(INSTALLED.sub(sys.executable, path.read_text()))

    result = _systemd_analyze("verify", "--man=no", str(tmp_path / unit))

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.system
@pytest.mark.parametrize(("unit", "most"), [(SERVICE.name, 12), ("employee-time-tracking-migrate.service", 25)])
def test_an_attacker_in_the_service_can_do_little_else(unit, most):
    """Limit the exposure level of `systemd-analyze security`, in tenths: 100 is a unit without any protection."""
    result = _systemd_analyze("security", "--offline=true", f"--threshold={most}", str(UNITS / unit))

    assert result.returncode == 0, result.stdout


def test_a_stop_leaves_requests_in_flight_the_time_that_they_have():
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", SERVICE.read_text(), re.MULTILINE)

    assert int(seconds) >= SHUTDOWN_TIMEOUT_SECONDS + 5


def test_a_killed_service_leaves_no_metrics_for_good():
    """By default each start writes its metrics to a new folder in TMPDIR, which outlives the service."""
    unit, image = SERVICE.read_text(), (ROOT / "Dockerfile").read_text()
    (folder,) = re.findall(r"^RuntimeDirectory=(.+)$", unit, re.MULTILINE)

    assert re.findall(r"PROMETHEUS_MULTIPROC_DIR=(\S+)", unit) == [f"%t/{folder}"], "systemd removes it"
    assert re.findall(r"PROMETHEUS_MULTIPROC_DIR=(\S+)", image) == ["/data/metrics"], "each start empties it"


def test_what_is_too_old_and_what_killed_backups_left_is_removed_and_nothing_else(tmp_path):
    days = {
        "2026-10-01.backup": 31,
        "2026-11-20.backup": 5,
        ".unfinished-x7": 2,
        ".unfinished-now": 0,
        ".2026-11-24.backup.x7": 2,
        ".backup-x7/time_tracking.db": 2,
        ".backup-now/time_tracking.db": 0,
    }
    for name, age in days.items():
        file = tmp_path / "backups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        for path in (file, file.parent):
            os.utime(path, (time.time() - age * 86_400 - 60,) * 2)

    for command in re.findall(r"^ExecStartP(?:re|ost)=(/usr/bin/find .+)$", BACKUP.read_text(), re.MULTILINE):
        subprocess.run(shlex.split(command), cwd=tmp_path, check=True)

    left = {str(path.relative_to(tmp_path / "backups")) for path in tmp_path.glob("backups/**/*") if path.is_file()}
    assert left == {"2026-11-20.backup", ".unfinished-now", ".backup-now/time_tracking.db"}
    assert not (tmp_path / "backups" / ".backup-x7").exists()


def test_the_page_enables_every_unit_that_is_to_be_enabled():
    installable = {path.name for path in UNITS.iterdir() if "[Install]" in path.read_text()}
    page = (ROOT / "docs" / "operations.md").read_text()
    enabled = " ".join(re.findall(r"^systemctl enable --now (.+)$", page, re.MULTILINE)).split()

    assert sorted(name if name.endswith(".timer") else f"{name}.service" for name in enabled) == sorted(installable)


def _systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program("systemd-analyze"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C.UTF-8"},
    )
