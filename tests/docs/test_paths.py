"""Files that documents, docstrings and comments name are where they say."""

import re
import subprocess

from app.core.database.migrations import ROOT

FOLDERS = ("app", "tests", "alembic", "benchmarks", "deploy", "docs")
OF_APP = ("api", "cli", "core", "models", "schemas", "services")
"""Code names its own layers without the `app/` in front."""
NAMED = re.compile(rf"(?<![\w/.*-])((?:{'|'.join(FOLDERS + OF_APP)})/[\w/-]+\.(?:py|md|sql|typ|toml|yml|yaml|conf))\b")
MADE_UP = "absences"  # CONTRIBUTING's capability that is to be added


def tracked(*patterns: str) -> list[str]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "--", *patterns]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def is_there(path: str) -> bool:
    folder = ROOT / "app" if path.partition("/")[0] in OF_APP else ROOT
    return (folder / path).is_file()


def test_every_file_that_is_named_is_there():
    missing = [
        f"{file}: {path}"
        for file in tracked("*.md", "*.py", "*.typ", "*.sql", "*.toml", "*.yaml", "*.yml")
        for path in NAMED.findall((ROOT / file).read_text())
        if MADE_UP not in path and not is_there(path)
    ]

    assert missing == []
