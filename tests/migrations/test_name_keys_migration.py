"""The migration that leaves invisible characters out of the keys of names, and folds runs of blanks."""

import pytest
from sqlalchemy import select, update

from app.models.tables import PROJECT, USER
from tests.support.migrations import run_alembic

PERSIAN = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
BEFORE = {
    "P1\u034f": "p1\u034f",
    "P1\u3164": "p1\u1160",
    "P2": "p2",
    "P2\u200d": "p2\u200d",
    "P 3": "p 3",
    "P  3": "p  3",
    "P \u00a0 4": "p   4",
    PERSIAN: PERSIAN,
}
AFTER = {
    "P1\u034f": "p1",
    "P1\u3164": "p1\u1160",
    "P2": "p2",
    "P2\u200d": "p2\u200d",
    "P 3": "p 3",
    "P  3": "p  3",
    "P \u00a0 4": "p 4",
    PERSIAN: PERSIAN.replace("\u200c", ""),
}


@pytest.fixture
def ana(people, database):
    """Ana, and five projects, with names and keys of version 0.9."""
    ana = people.employee("Ana")
    projects = [people.project(f"Project {number}") for number in range(len(BEFORE))]
    run_alembic(database, "downgrade", "2026_11_30_drop_export_slots")
    with database.write_transaction() as session:
        for project, (name, key) in zip(projects, BEFORE.items(), strict=True):
            session.execute(update(PROJECT).where(PROJECT.c.id == project.id).values(name=name, name_key=key))
        names = {"first_name": PERSIAN, "name_key": f"{PERSIAN} silva"}
        session.execute(update(USER).where(USER.c.id == ana.id).values(names))
    return ana


def test_keys_hold_what_a_reader_sees_unless_another_project_has_the_key(database, ana):
    run_alembic(database, "upgrade", "head")

    assert keys_by_name(database) == AFTER
    assert user_key(database) == f"{PERSIAN} silva".replace("\u200c", "")


def test_a_downgrade_brings_the_former_keys_back(database, ana):
    run_alembic(database, "upgrade", "head")
    run_alembic(database, "downgrade", "2026_11_30_drop_export_slots")

    assert keys_by_name(database) == BEFORE
    assert user_key(database) == f"{PERSIAN} silva"


def keys_by_name(database):
    with database.read_transaction() as session:
        return {row.name: row.name_key for row in session.execute(select(PROJECT.c.name, PROJECT.c.name_key))}


def user_key(database):
    with database.read_transaction() as session:
        return session.execute(select(USER.c.name_key)).scalar_one()
