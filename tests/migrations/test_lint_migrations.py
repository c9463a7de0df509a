"""The migration linter accepts changes that only extend the schema without blocking, and rejects others."""

import pytest

from tests.support.lint_migrations import lint
from tests.support.releases import copy_this_release, make_next_release

WIDENS = """\
op.add_column("project", sa.Column("colour", sa.String(20), nullable=False, server_default="grey"))
op.create_check_constraint("ck_project_colour", "project", "colour <> ''", postgresql_not_valid=True)
with autocommit():
    op.drop_index("ix_project_colour", "project", if_exists=True, postgresql_concurrently=True)
    op.create_index("ix_project_colour", "project", ["colour"], postgresql_concurrently=True)"""
DROPS = """\
# squawk-ignore: ban-drop-column
op.drop_column("project", "is_active")"""


@pytest.fixture
def release(tmp_path):
    return copy_this_release(tmp_path)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ('op.create_index("ix_project_colour", "project", ["name"])', "require-concurrent-index-creation"),
        ('op.add_column("project", sa.Column("colour", sa.String(20), nullable=False))', "adding-required-field"),
        ('op.create_check_constraint("ck_project_named", "project", "name <> \'\'")', "constraint-missing-not-valid"),
        ('op.drop_column("project", "is_active")', "ban-drop-column"),
        ('op.alter_column("project", "name", new_column_name="title")', "renaming-column"),
        ('op.alter_column("project", "name", type_=sa.String(20))', "changing-column-type"),
    ],
)
def test_what_blocks_people_or_breaks_the_release_before_is_named(release, statement, rule):
    make_next_release(release, next_one=statement)

    violations = lint(release)

    assert any(line.startswith("next_one.sql") and rule in line for line in violations), violations


@pytest.mark.parametrize("statements", [WIDENS, DROPS])
def test_what_only_widens_or_says_that_nobody_reads_it_any_more_passes(release, statements):
    make_next_release(release, next_one=statements)

    assert lint(release) == []
