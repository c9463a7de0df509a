"""Check that all dependencies are installed as pinned, consistent, and without known vulnerabilities.

Called by .ci/run. Advisories need a network. Without one, the script prints the number of packages that it could not
look up, and continues.
"""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
IGNORED = {"employee-time-tracking-api", "pip", "setuptools", "wheel"}


def main() -> int:
    pinned = dict(line.split("==") for line in CONSTRAINTS.read_text().split())
    versions = {_key(name): version for name, version in pinned.items()}
    mismatched = [
        f"{dist.name} {dist.version}"
        for dist in distributions()
        if _key(dist.name) not in IGNORED and versions.get(_key(dist.name)) != dist.version
    ]
    if mismatched:
        print("Versions differ from constraints.txt:", *mismatched, sep="\n  ")
        return 1
    if subprocess.run([sys.executable, "-m", "pip", "check"], check=False).returncode:
        return 1
    return _advisories()


def _advisories() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
    result = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError):
        print("The advisory database can't be reached. No package was checked.")
        return 0
    vulnerable = [package for package in packages if package.get("vulns")]
    skipped = sum("skip_reason" in package for package in packages)
    print(f"{len(packages) - skipped} packages checked, {skipped} not found, {len(vulnerable)} vulnerable.")
    for package in vulnerable:
        print(f"  {package['name']} {package['version']}: {', '.join(dist['id'] for dist in package['vulns'])}")
    return 1 if vulnerable else 0


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
