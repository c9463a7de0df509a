"""The pinned dependencies: all installed as pinned, consistent, and without known vulnerabilities. Run by .ci/run.

Advisories need a network. Where there is none, this says how many packages could not be looked up, and goes on.
"""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
OURS = {"employee-time-tracking-api", "pip", "setuptools", "wheel"}


def main() -> int:
    pinned = dict(line.split("==") for line in CONSTRAINTS.read_text().split())
    pins = {_key(name): version for name, version in pinned.items()}
    loose = [
        f"{found.name} {found.version}"
        for found in distributions()
        if _key(found.name) not in OURS and pins.get(_key(found.name)) != found.version
    ]
    if loose:
        print("Not as pinned in constraints.txt:", *loose, sep="\n  ")
        return 1
    if subprocess.run([sys.executable, "-m", "pip", "check"], check=False).returncode:
        return 1
    return _advisories()


def _advisories() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        looked_up = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print("No source of advisories can be reached from here; nothing was looked up.")
        return 0
    vulnerable = [each for each in looked_up if each.get("vulns")]
    skipped = sum("skip_reason" in each for each in looked_up)
    print(f"{len(looked_up) - skipped} packages looked up, {skipped} could not be; {len(vulnerable)} vulnerable.")
    for each in vulnerable:
        print(f"  {each['name']} {each['version']}: {', '.join(found['id'] for found in each['vulns'])}")
    return 1 if vulnerable else 0


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
