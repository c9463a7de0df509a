"""Programs that tests start as real parts of an installation: a pooler, a proxy, a cluster's store, a rule checker.

`python -m tests.support.system_packages` prints the Debian packages of those that this machine lacks.
"""

import os
import shutil
from pathlib import Path

PACKAGES = {
    "pgbouncer": "pgbouncer",
    "nginx": "nginx-light",
    "etcd": "etcd-server",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
_SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)  # daemons, for who isn't root


def find_program(name: str) -> Path:
    """Where a program of PACKAGES is. Raises FileNotFoundError, which names the package to install."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise FileNotFoundError(f"The tests need {name}: install the package {PACKAGES[name]}.")
    return Path(path)


if __name__ == "__main__":
    print(*(package for name, package in PACKAGES.items() if shutil.which(name, path=_SEARCH_PATH) is None))
