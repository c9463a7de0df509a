"""docs/asvs.md lists every requirement of levels 1 and 2 once, and each claim refers to a test or file."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "asvs.md").read_text()
CHAPTERS = {  # number of requirements of level 1 and of level 2 in ASVS 5.0.0
    1: (8, 19),
    2: (4, 7),
    3: (8, 11),
    4: (2, 8),
    5: (4, 5),
    6: (13, 22),
    7: (6, 12),
    8: (4, 3),
    9: (4, 3),
    10: (5, 24),
    11: (3, 11),
    12: (3, 6),
    13: (1, 12),
    14: (2, 7),
    15: (3, 10),
    16: (0, 16),
    17: (0, 7),
}
STATUSES = ("met", "operator", "n/a", "not met")
IDS = re.compile(r"(\d+)\.(\d+)\.(\d+)(?: to \1\.\2\.(\d+))?")
COUNTS = re.compile(
    r"^Counts: (\d+) met, (\d+) left to the operator, (\d+) not applicable, (\d+) not met\.$", re.MULTILINE
)


@dataclass(frozen=True)
class Row:
    line: str
    chapter: int
    ids: tuple[str, ...]
    level: str
    requirement: str
    status: str
    how: str
    proofs: tuple[str, ...]


def rows() -> Iterator[Row]:
    chapter = 0
    for line in TEXT.splitlines():
        if heading := re.match(r"## V(\d+) ", line):
            chapter = int(heading[1])
        if not re.match(r"\| \d", line):
            continue
        ids, level, requirement, status, how, proof = (cell.strip() for cell in line.strip("|").split("|"))
        yield Row(
            line, chapter, _expand_ids(ids), level, requirement, status, how, tuple(re.findall(r"`([^`]+)`", proof))
        )


def _expand_ids(ids: str) -> tuple[str, ...]:
    found = IDS.fullmatch(ids)
    assert found, ids
    chapter, section, first, last = found.groups()
    return tuple(f"{chapter}.{section}.{number}" for number in range(int(first), int(last or first) + 1))


ROWS = list(rows())
REQUIREMENTS = [each for row in ROWS for each in row.ids]
TESTS = sorted(set(re.findall(r"tests/[\w/.]+(?:::\w+)+", TEXT)))


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Return the tests of a file as pytest names them: a test in a class is prefixed with the class name."""
    return frozenset(_named(ast.parse(path.read_text()).body))


def _named(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name


def is_supported(row: Row) -> bool:
    """Return True if a met requirement has tests or files, and every other one a reason."""
    if row.status != "met":
        return bool(row.how) and not row.proofs
    return bool(row.proofs) and all(proof in TESTS or (ROOT / proof).is_file() for proof in row.proofs)


def test_no_requirement_is_there_twice():
    assert [each for each, times in Counter(REQUIREMENTS).items() if times > 1] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_all_its_requirements_in_their_order(chapter):
    levels = Counter(row.level for row in ROWS if row.chapter == chapter for _ in row.ids)
    ids = [each for row in ROWS if row.chapter == chapter for each in row.ids]

    assert (levels["1"], levels["2"]) == CHAPTERS[chapter]
    assert levels.keys() <= {"1", "2"}
    assert {each.partition(".")[0] for each in ids} == {str(chapter)}
    assert ids == sorted(ids, key=lambda each: [int(part) for part in each.split(".")])


def test_the_tests_that_it_names_exist():
    assert len(TESTS) > 50
    for name in TESTS:
        path, _, test = name.partition("::")
        assert (ROOT / path).is_file(), name
        assert test in names_of_tests(ROOT / path), name


def test_a_row_has_a_test_or_a_file_or_a_reason():
    assert {row.status for row in ROWS} == set(STATUSES)
    assert [row.line for row in ROWS if not row.requirement or not is_supported(row)] == []


def test_it_says_how_many_there_are_of_each():
    (counts,) = COUNTS.findall(TEXT)
    counted = Counter(row.status for row in ROWS for _ in row.ids)

    assert tuple(map(int, counts)) == tuple(counted[status] for status in STATUSES)
    assert counted.total() == 253
