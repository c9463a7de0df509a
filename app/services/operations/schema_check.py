"""Comparison of the schema with what the migrations create: guards that are missing, triggers that somebody added.

A trigger or a view of somebody else can change hours behind the service. Without the guards of the audit log, its
events can be changed.
"""

from sqlalchemy import select

from app.core.database.migrations import create_sqlite_schema, current_revisions, head_revision
from app.core.database.postgresql.table_definitions import expected_definitions
from app.core.database.session import Session
from app.models.metadata import all_tables, own_tables
from app.models.tables import AUDIT_CHAIN, NAMED_LOCK, PAYROLL_LOCK
from app.models.timesheets import ENTRIES_LOCK
from app.services.access.locks import RULES_ROW
from app.services.audit.recorder import ORGANISATION_CHAIN

POSTGRESQL_GUARDS = {
    "constraint ck_time_entry_ends_after_start on time_entry": "7924b669d9d4d56249d2bb2c6ec53b50",
    "constraint ck_timesheet_days on timesheet": "52cacbd640284b985e67d41bc1cdbba9",
    "constraint ck_timesheet_locked on timesheet": "9f9f1980059d8d987589b51b277af80b",
    "constraint ck_timesheet_not_by_oneself on timesheet": "500da94d47cc1b9cb8b1369934f40dea",
    "constraint ck_timesheet_rule_period on timesheet_rule": "0a63c6f1bb5bd12f66b612c6c6f650a5",
    "constraint ck_timesheet_status on timesheet": "addbb877c106e2aac227366be4e01cdd",
    "constraint ck_user_not_their_own_manager on user": "00aa2fa20b6dc256aa40bc6f9d738760",
    "constraint ck_user_role on user": "98a28ffcd8433d53ea882bd01e92c99b",
    "exclusion constraint on time_entry": "040fa373dca3cae738ff41263587ffca",
    "partial unique index on time_entry": "dce0e03c90eb5e1ff3a0f52c067b2647",
    "trigger audit_chain_only_grows_row on audit_chain": "1fe3e028646f95884c4c414f2288bebd",
    "trigger audit_chain_only_grows_truncate on audit_chain": "b175b8828432563bd166489a8ec6089e",
    "trigger audit_event_append_only_row on audit_event": "44551e0b683fc1ca0127708369a54f46",
    "trigger audit_event_append_only_truncate on audit_event": "49a7c9cc2581a6a1b58438b34ab37f35",
    "trigger audit_event_extends_its_chain on audit_event": "49438e5322404ebf3604eaebd6b4823e",
    "trigger time_entry_locked_delete on time_entry": "efc73f1b2eaf56fc0db2ff5784d97de0",
    "trigger time_entry_locked_update on time_entry": "8c4e40a55533be268b924f6fa0008599",
}
"""The guards at this version's revision on PostgreSQL, with a digest of each definition.

Columns, foreign keys and unique keys are compared with the models. Other constraints, indexes and tables are not
compared, because an operator may add partitions and indexes.
"""
KNOWN_VERSIONS = range(15, 19)
"""Major versions of PostgreSQL that word the guards as the digests need it. Migrations were run on each."""
_WORDED_GUARDS = ("constraint ck_", "exclusion constraint ", "partial unique index ", "trigger time_entry_locked_")
"""Guards whose definitions PostgreSQL words. Those of triggers without a condition are the text of the migrations."""
_FORBIDDEN_KINDS = (
    "trigger ", "event trigger ", "view ", "rule ", "policy ", "row security ", "function ", "operator ", "cast ",
    "setting ", "relation ", "unlogged storage ",
)  # fmt: skip
"""Kinds of objects that nobody may add. An additional index or table changes no row, unless it calls a function."""

_SINGLE_ROWS = (
    (NAMED_LOCK.c.name, RULES_ROW),
    (AUDIT_CHAIN.c.chain_id, ORGANISATION_CHAIN),
    (PAYROLL_LOCK.c.name, ENTRIES_LOCK),
)
"""Rows that the migrations insert and that transactions lock. Without its row, a statement locks nothing."""


def find_missing_rows(session: Session) -> list[str]:
    """Return one sentence for each row that transactions lock and that somebody deleted."""
    return [
        f"The row {value} of {column.table.name} is missing."
        for column, value in _SINGLE_ROWS
        if session.execute(select(column).where(column == value)).first() is None
    ]


def find_differences(session: Session, revision: str | None = None) -> list[str]:
    """Compare the schema with the migrations up to a revision, by default this version's. Returns one sentence each.

    What `find_unknown_wording` returns is no difference.
    """
    revision = revision or head_revision()
    objects = session.read_schema_objects(own_tables())
    if session.settings.is_sqlite:
        expected = create_sqlite_schema(session.keyring, revision)
    else:
        expected = POSTGRESQL_GUARDS | expected_definitions(all_tables())
    is_unknown = _unknown_version(session) is not None
    added = [f"The {name} was added." for name in objects.keys() - expected.keys() if name.startswith(_FORBIDDEN_KINDS)]
    missing = [f"The {name} is missing." for name in expected.keys() - objects.keys()]
    changed = [
        f"The {name} was changed."
        for name in expected.keys() & objects.keys()
        if expected[name] != objects[name] and not (is_unknown and name.startswith(_WORDED_GUARDS))
    ]
    revisions = current_revisions(session.connection())
    other = [f"The revision is {', '.join(sorted(revisions))}, not {revision}."] if revisions != {revision} else []
    return other + sorted(missing) + sorted(changed) + sorted(added)


def find_unknown_wording(session: Session) -> list[str]:
    """Return one sentence for each guard with another text than expected, on an unknown version of PostgreSQL.

    A new version may word the same definition in another way.
    """
    version = _unknown_version(session)
    if version is None:
        return []
    objects = session.read_schema_objects(own_tables())
    return [
        f"The {name} was not compared, because this version does not know PostgreSQL {version}."
        for name, digest in POSTGRESQL_GUARDS.items()
        if name.startswith(_WORDED_GUARDS) and objects.get(name, digest) != digest
    ]


def _unknown_version(session: Session) -> int | None:
    """Return the major version of PostgreSQL if it is not one of KNOWN_VERSIONS. None on SQLite."""
    version = session.connection().dialect.server_version_info
    if session.settings.is_sqlite or version is None or version[0] in KNOWN_VERSIONS:
        return None
    return int(version[0])
