"""Files, rules, threats and links in documents, docstrings and comments exist."""

import re
from collections.abc import Iterator
from pathlib import Path

from app.core.database.migrations import ROOT

FOLDERS = ("app", "tests", "alembic", "benchmarks", "deploy", "docs")
OF_APP = ("api", "cli", "core", "models", "schemas", "services")
"""Packages of app/, which code names without the prefix `app/`."""
NAMED = re.compile(rf"(?<![\w/.*-])((?:{'|'.join(FOLDERS + OF_APP)})/[\w/-]+\.(?:py|md|sql|typ|toml|yml|yaml|conf))\b")
RULE_REFERENCES = re.compile(r"\brules: ([^;)]+)")
THREAT_REFERENCES = re.compile(r"\b[Tt]hreats ((?:F?\d+)(?:(?:, | to | and )F?\d+)*)")
SUFFIXES = {".md", ".py", ".sql", ".toml", ".typ", ".yaml", ".yml"}
MADE_UP = "absences"  # the example of CONTRIBUTING, which does not exist


def sources() -> Iterator[Path]:
    """Yield every text file of the project."""
    for folder in (ROOT, *(ROOT / name for name in FOLDERS)):
        for path in folder.glob("*") if folder == ROOT else folder.rglob("*"):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def file_exists(path: str) -> bool:
    folder = ROOT / "app" if path.partition("/")[0] in OF_APP else ROOT
    return (folder / path).is_file()


def test_every_file_that_is_named_is_there():
    missing = [
        f"{source.relative_to(ROOT)}: {path}"
        for source in sources()
        for path in NAMED.findall(source.read_text())
        if MADE_UP not in path and not file_exists(path)
    ]

    assert missing == []


def numbers(document: str, pattern: str) -> set[str]:
    """Return the numbers of the items that a document lists."""
    return set(re.findall(pattern, (ROOT / "docs" / document).read_text(), re.MULTILINE))


def test_every_rule_and_threat_that_is_named_is_there():
    rules, threats = numbers("rules.md", r"^- ([TEPJVRS]\d) "), numbers("threats.md", r"^\| (F?\d+) \|")
    named = {
        "rules": {
            each
            for text in texts()
            for found in RULE_REFERENCES.findall(text)
            for each in re.findall(r"\b[A-Z]\d\b", found)
        },
        "threats": {
            each
            for text in texts()
            for found in THREAT_REFERENCES.findall(text)
            for each in re.findall(r"F?\d+", found)
        },
    }

    assert {"T1", "R3"} <= rules and {"1", "F13"} <= threats
    assert named["rules"] - rules == named["threats"] - threats == set()


def texts() -> Iterator[str]:
    return (source.read_text() for source in sources() if source != Path(__file__))


def test_every_link_to_a_file_resolves():
    broken = [
        f"{source.relative_to(ROOT)}: {link}"
        for source in sources()
        if source.suffix == ".md"
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", source.read_text())
        if not (source.parent / link).exists()
    ]

    assert broken == []


def test_the_index_lists_every_document():
    index = (ROOT / "docs" / "README.md").read_text()

    missing = [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index]

    assert missing == ["README.md"]
