"""Apply the SystemCallFilter= of a unit without systemd."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.deploy import seccomp
from tests.support.system_packages import find_program


def sandbox_command(unit: Path, *, without: str = "") -> list[str]:
    """Return the start of a command line that applies the unit's filter, optionally without one call."""
    return [sys.executable, seccomp.__file__, ",".join(sorted(_allowed(unit) - {without}))]


def _allowed(unit: Path) -> set[str]:
    """Return the allowed calls as in systemd.exec(5).

    Lines add calls, lines with a ~ remove them, and @default is included.
    """
    allowed = _calls_of("@default")
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(), re.MULTILINE):
        calls = set[str]().union(*map(_calls_of, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


@cache
def _calls_of(name: str) -> set[str]:
    """Return a call, or the calls of a group including its nested groups."""
    if not name.startswith("@"):
        return {name}
    command = [find_program("systemd-analyze"), "syscall-filter", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    return set[str]().union(*(_calls_of(line.strip()) for line in lines if not line.strip().startswith("#")))
