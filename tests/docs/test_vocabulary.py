"""The words of the code are those of the field (docs/glossary.md, CONTRIBUTING "Words")."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from app.core.database.migrations import ROOT

CODE = ("app", "tests", "benchmarks", "alembic", "deploy")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
HEADLESS = re.compile(r"(Who|Whom|Whose|What|Whatever|Whether|Where|When|Which|Whichever|How)\b")
"""A first line that begins with one of these is a clause without the noun or the verb that it belongs to."""
METAPHORS = re.compile(r"\b(burglar|doors?|gates?|houses?|knock\w*|(?<!round[ -])trips?|walk\w*)\b", re.IGNORECASE)
WORDS = [
    "again",
    "asked",
    "besides",
    "burglar",
    "crowd",
    "deed",
    "deeds",
    "found_out",
    "gate",
    "give_back",
    "hang_up",
    "in_sight",
    "kept",
    "knows",
    "letter",
    "look_at",
    "lets_go",
    "nobody",
    "note_use",
    "overdue",
    "patience",
    "patiently",
    "postbox",
    "proven",
    "said",
    "seal",
    "sealed",
    "seals",
    "settle",
    "shown",
    "slot",
    "slots",
    "somebody",
    "standing",
    "stretch",
    "stretches",
    "told",
    "trip",
    "trips",
    "vain_wait",
    "wanted",
    "whoever",
    "write_soon",
]
LISTED = re.compile(rf"(^|_)({'|'.join(WORDS)})(_|$)")
"""Words in names that have a standard one: docs/glossary.md has it."""


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    """Every Python file of the project, parsed, by its path."""
    sources = [path for folder in CODE for path in (ROOT / folder).rglob("*.py") if "versions" not in path.parts]
    return [(path.relative_to(ROOT), ast.parse(path.read_text())) for path in sorted(sources)]


def docstrings() -> Iterator[tuple[str, str]]:
    """Each docstring, and where it is."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and (docstring := ast.get_docstring(node)):
                yield f"{path}:{getattr(node, 'lineno', 1)}", " ".join(docstring.split())


def names() -> Iterator[tuple[Path, str]]:
    """Each module, class, function, parameter and variable."""
    for path, tree in trees():
        yield path, path.stem
        for node in ast.walk(tree):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    yield path, name
                case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                    yield path, name


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def test_no_docstring_begins_with_a_clause_without_a_head():
    assert [f"{place} {text[:80]}" for place, text in docstrings() if HEADLESS.match(text)] == []


def test_no_docstring_of_the_service_speaks_in_metaphors():
    found = [(place, METAPHORS.search(text)) for place, text in docstrings() if place.startswith("app/")]

    assert [(place, match[0]) for place, match in found if match] == []


def test_no_name_has_a_word_that_has_a_standard_one():
    """Names of tests are sentences, and migrations are named after what they do to stored tables."""
    found = {(str(path), name) for path, name in names() if LISTED.search(snake_case(name))}

    assert sorted(each for each in found if not re.match("Test|test_", each[1])) == []
