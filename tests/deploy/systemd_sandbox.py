"""The SystemCallFilter= of a unit, where no systemd runs."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.deploy import seccomp
from tests.support.system_packages import find_program


def sandbox_command(unit: Path, *, without: str = "") -> list[str]:
    """What a command line begins with, for the process to have the unit's filter, less one call."""
    return [sys.executable, seccomp.__file__, ",".join(sorted(_allowed(unit) - {without}))]


def _allowed(unit: Path) -> set[str]:
    """As in systemd.exec(5): lines add, those with a ~ take away, and @default is always there."""
    allowed = _calls_of("@default")
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(), re.MULTILINE):
        calls = set[str]().union(*map(_calls_of, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


@cache
def _calls_of(name: str) -> set[str]:
    """A call, or those of a group, whose groups are unfolded."""
    if not name.startswith("@"):
        return {name}
    command = [find_program("systemd-analyze"), "syscall-filter", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    return set[str]().union(*(_calls_of(line.strip()) for line in lines if not line.strip().startswith("#")))
