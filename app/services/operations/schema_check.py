"""Comparison of the schema with what the migrations create: guards that are missing, triggers that somebody added.

A trigger or a view of somebody else can change hours behind the service. Without the guards of the audit log, its
events can be changed.
"""

from app.core.database.migrations import create_sqlite_schema, head_revision
from app.core.database.session import Session
from app.models.metadata import own_tables

POSTGRESQL_GUARDS = {
    "trigger audit_chain_only_grows_row": "44a73d033ed8c363e867c44758460912",
    "trigger audit_chain_only_grows_truncate": "0b5cd1c1db7fc5619ca5ea75c2b29466",
    "trigger audit_event_append_only_row": "65f9b2fd68eb4040a943466ecc182490",
    "trigger audit_event_append_only_truncate": "0823ce32f1e30c8a2d59d9a081d55305",
    "trigger audit_event_extends_its_chain": "cf54674a0ca4ec14ba402388790b60b1",
}
"""The triggers at this version's revision on PostgreSQL, with a digest of each definition.

The other objects of PostgreSQL are not compared, because an operator may add partitions and indexes.
"""
_FORBIDDEN_KINDS = ("trigger ", "view ")
"""Kinds of objects that nobody may add. An additional index or table changes no row."""


def find_differences(session: Session, revision: str | None = None) -> list[str]:
    """Compare the schema with the migrations up to a revision, by default this version's. Returns one sentence each."""
    objects = session.read_schema_objects(own_tables())
    expected = POSTGRESQL_GUARDS
    if session.settings.is_sqlite:
        expected = create_sqlite_schema(session.keyring, revision or head_revision())
    added = [f"The {name} was added." for name in objects.keys() - expected.keys() if name.startswith(_FORBIDDEN_KINDS)]
    missing = [f"The {name} is missing." for name in expected.keys() - objects.keys()]
    changed = [
        f"The {name} was changed." for name in expected.keys() & objects.keys() if expected[name] != objects[name]
    ]
    return sorted(missing) + sorted(changed) + sorted(added)
