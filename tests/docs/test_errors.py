"""docs/errors.md: every error code of the service once, with its status and title, and no other code."""

import re

from app.api.http.problems import status_of
from app.core.database.migrations import ROOT
from app.core.errors import DomainError
from app.main import ROUTERS

ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def error_types(family: type[DomainError]) -> list[type[DomainError]]:
    return [each for child in family.__subclasses__() for each in (child, *error_types(child))]


def test_the_table_has_each_code_with_its_status_and_title_and_nothing_else():
    assert ROUTERS  # importing them defines every error
    defined = [(each.code, status_of(each), each.title) for each in error_types(DomainError) if hasattr(each, "code")]

    rows = ROW.findall((ROOT / "docs" / "errors.md").read_text())

    assert [(code, int(status), title) for code, status, title, *_ in rows] == sorted(defined)


def test_each_row_says_what_the_code_means_and_what_the_client_does():
    rows = ROW.findall((ROOT / "docs" / "errors.md").read_text())

    assert [code for code, _, _, meaning, action in rows if not (meaning.endswith(".") and action.endswith("."))] == []
