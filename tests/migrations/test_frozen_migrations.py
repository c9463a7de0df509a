"""Migrations import no application code that may change, so that they always do the same."""

import ast

import pytest

from app.core.database.migrations import ROOT

ALLOWED = {
    "app.core.database.column_types",  # storage formats of types
    "app.core.database.postgresql.online_migration",  # lock handling of migrations
}
MIGRATIONS = sorted((ROOT / "alembic" / "versions").glob("*.py"))


assert MIGRATIONS


def imported_from_app(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken_from = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {module for module in named | taken_from if module.partition(".")[0] == "app"}


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda path: path.stem)
def test_a_migration_imports_no_code_that_goes_on_changing(migration):
    assert imported_from_app(migration.read_text()) <= ALLOWED
