"""Files that documents, docstrings and comments name are where they say."""

import re
from collections.abc import Iterator
from pathlib import Path

from app.core.database.migrations import ROOT

FOLDERS = ("app", "tests", "alembic", "benchmarks", "deploy", "docs")
OF_APP = ("api", "cli", "core", "models", "schemas", "services")
"""Code names its own layers without the `app/` in front."""
NAMED = re.compile(rf"(?<![\w/.*-])((?:{'|'.join(FOLDERS + OF_APP)})/[\w/-]+\.(?:py|md|sql|typ|toml|yml|yaml|conf))\b")
SUFFIXES = {".md", ".py", ".sql", ".toml", ".typ", ".yaml", ".yml"}
MADE_UP = "absences"  # CONTRIBUTING's capability that is to be added


def sources() -> Iterator[Path]:
    """Every text of the project: what lies in its folders, and beside them."""
    for folder in (ROOT, *(ROOT / name for name in FOLDERS)):
        for path in folder.glob("*") if folder == ROOT else folder.rglob("*"):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def is_there(path: str) -> bool:
    folder = ROOT / "app" if path.partition("/")[0] in OF_APP else ROOT
    return (folder / path).is_file()


def test_every_file_that_is_named_is_there():
    missing = [
        f"{source.relative_to(ROOT)}: {path}"
        for source in sources()
        for path in NAMED.findall(source.read_text())
        if MADE_UP not in path and not is_there(path)
    ]

    assert missing == []
