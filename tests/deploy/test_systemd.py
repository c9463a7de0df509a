"""The units for systemd, judged by systemd's own tools."""

import re
import subprocess
import sys

import pytest

from run_backend import SHUTDOWN_SECONDS
from tests.support.backend import ROOT
from tests.support.programs import program

UNITS = ROOT / "deploy" / "systemd"
SERVICE = UNITS / "employee-time-tracking.service"
INSTALLED = re.compile(r"/opt/employee-time-tracking/\.venv/bin/python")


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.iterdir()))
def test_systemd_understands_every_line(unit, tmp_path):
    for path in UNITS.iterdir():
        (tmp_path / path.name).write_text(INSTALLED.sub(sys.executable, path.read_text()))

    done = _asked("verify", "--man=no", str(tmp_path / unit))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "most"), [(SERVICE.name, 12), ("employee-time-tracking-migrate.service", 25)])
def test_an_attacker_in_the_service_can_do_little_else(unit, most):
    """systemd's exposure level, in tenths: 100 is a service without any protection."""
    done = _asked("security", "--offline=true", f"--threshold={most}", str(UNITS / unit))

    assert done.returncode == 0, done.stdout


def test_a_stop_leaves_requests_in_flight_the_time_that_they_have():
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", SERVICE.read_text(), re.MULTILINE)

    assert int(seconds) >= SHUTDOWN_SECONDS + 5


def _asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze"), *arguments], capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8"}
    )
