"""Check that all dependencies are installed as pinned, consistent, and without known vulnerabilities.

Called by .ci/run. Advisories need a network. Without one, the script says that they were not checked, and still passes.
With REQUIRE_ADVISORIES=1 it then fails: set it where the advisory database can be reached.
"""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
REQUIRE_ADVISORIES = "REQUIRE_ADVISORIES"
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
    return judge_advisories(result.stdout, is_required=os.environ.get(REQUIRE_ADVISORIES) == "1")


def judge_advisories(report: str, *, is_required: bool) -> int:
    """Print what pip-audit's report says, and return the exit code.

    A vulnerable package fails. A package without an answer fails only if advisories are required, because the machine
    may have no network.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        print(f"  {package['name']} {package['version']}: {', '.join(dist['id'] for dist in package['vulns'])}")
    unchecked = sum("skip_reason" in package for package in packages)
    checked = len(packages) - unchecked
    if not checked:
        print("ADVISORIES WERE NOT CHECKED: the advisory database has no answer for any package. Is there a network?")
    elif unchecked:
        print(f"ADVISORIES WERE NOT CHECKED for {unchecked} of {len(packages)} packages.")
    if checked:
        print(f"{checked} packages checked for advisories, {len(vulnerable)} vulnerable.")
    is_incomplete = not checked or unchecked > 0
    if is_incomplete:
        print(f"This passes only without {REQUIRE_ADVISORIES}=1. Run it again where the network is open.")
    return 1 if vulnerable or (is_incomplete and is_required) else 0


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
