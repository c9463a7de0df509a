"""Generators of clients and linters of OpenAPI documents, installed at fixed versions into a folder of their own.

They are no dependencies of the service. The first test that needs them installs them, which needs a network.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.system_packages import find_program

PYTHON_TOOLS = ("openapi-python-client==0.29.1",)
NODE_TOOLS = (
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@types/node@20.19.25",
    "@redocly/cli@2.77.0",
    "@stoplight/spectral-cli@6.16.3",
    "axe-core@4.14.1",
)
INSTALL_SECONDS, RUN_SECONDS = 600, 300
_QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "SCARF_ANALYTICS": "false"}


class Tools:
    """The installed tools in one folder, which several processes and runs share."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"ett-client-tools-{os.getuid()}"
        self.python_packages = self.folder / "python"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._install_missing()

    def run_python(self, module: str, *arguments: str | Path, folder: Path) -> str:
        """Run a module of PYTHON_TOOLS in a folder and return its output."""
        paths = {"PYTHONPATH": str(self.python_packages), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        return _run([sys.executable, "-m", module, *arguments], folder, **paths)

    def run_node(self, program: str, *arguments: str | Path, folder: Path) -> str:
        """Run a program of NODE_TOOLS in a folder and return its output."""
        return _run([self.folder / "node_modules" / ".bin" / program, *arguments], folder, **_QUIET)

    def _install_missing(self) -> None:
        marker, versions = self.folder / "installed", "\n".join((*PYTHON_TOOLS, *NODE_TOOLS))
        if marker.exists() and marker.read_text() == versions:
            return
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", self.python_packages]
        _run([*pip, *PYTHON_TOOLS], self.folder, seconds=INSTALL_SECONDS)
        npm = [find_program("npm"), "install", "--no-audit", "--no-fund", "--no-package-lock", "--no-save"]
        _run([*npm, "--ignore-scripts", "--prefix", self.folder, *NODE_TOOLS], self.folder, seconds=INSTALL_SECONDS)
        marker.write_text(versions)


def _run(command: list[str | Path], folder: Path, *, seconds: int = RUN_SECONDS, **environment: str) -> str:
    """Run the command and return its output. It fails with the output of the command."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout
