"""Programs that tests start: parts of a deployment, such as PgBouncer, nginx and promtool, Node, and a spreadsheet.

`python -m tests.support.system_packages` prints the Debian packages that are missing on this machine.
"""

import os
import shutil
from pathlib import Path

PACKAGES = {
    "pgbouncer": "pgbouncer",
    "nginx": "nginx-light",
    "etcd": "etcd-server",
    "openssl": "openssl",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "node": "nodejs",
    "npm": "npm",
    "soffice": "libreoffice-calc-nogui",
    "chromium": "chromium",
}
_SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)  # users other than root have no /usr/sbin in PATH


def find_program(name: str) -> Path:
    """Return the path of a program of PACKAGES. Raises FileNotFoundError with the package to install."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise FileNotFoundError(f"The tests need {name}. Install the package {PACKAGES[name]}.")
    return Path(path)


if __name__ == "__main__":
    print(*(package for name, package in PACKAGES.items() if shutil.which(name, path=_SEARCH_PATH) is None))
