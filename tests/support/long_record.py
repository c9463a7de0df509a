"""One user with many entries in a month, and an entry with many changes: what a single user can make large."""

from sqlalchemy import text

from app.core.database.session import Database
from tests.support.audit_tampering import DISABLE_TRIGGERS, RESTORE_TRIGGERS
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import instant

_FIRST = int(instant("2026-03-01 00:00:07").timestamp())
"""Seven seconds after midnight, so that some entries cross the midnights."""
_STORED = {SQLITE: "{}", POSTGRESQL: "to_timestamp({})"}
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) "


def days_of(count: int) -> int:
    """Return the number of days of `add_long_record`. One entry less crosses a midnight."""
    return 1 + (7 + count * _length(count)) // 86400


def _length(count: int) -> int:
    return 30 * 86400 // count


def add_long_record(database: Database, user_id: int, project_id: int, count: int) -> None:
    """Give the user `count` entries, one after the other, in March 2026. Their overlaps are not checked any more."""
    length = _length(count)
    start = f"{_FIRST} + i * {length}"
    with database.write_transaction() as session:
        stored = _STORED[database.settings.database_kind]
        if database.settings.database_kind == POSTGRESQL:  # checking a million entries would take minutes
            session.execute(text("ALTER TABLE time_entry DROP CONSTRAINT IF EXISTS ex_time_entry_no_overlap"))
        session.disable_timeouts()
        session.execute(
            text(
                f"""
                {_NUMBERS.format(count=count)}
                INSERT INTO time_entry (user_id, project_id, start_time, end_time, description, time_zone,
                    needs_review, version, created_at, updated_at)
                SELECT {user_id}, {project_id}, {stored.format(start)}, {stored.format(f"{start} + {length}")},
                    'Landing page, part ' || i, 'UTC', false, 1, {stored.format(start)}, {stored.format(start)} FROM n
                """
            )
        )
    with database.write_transaction() as session:
        session.execute(text("ANALYZE time_entry"))


def add_changes(database: Database, entry_id: int, user_id: int, count: int, *, description: str = "Minutes") -> None:
    """Give the entry `count` more changes by its user, which are no links of the user's audit chain."""
    with database.write_transaction() as session:
        restore = session.scalars(text(RESTORE_TRIGGERS[database.settings.database_kind])).all()
        stored = _STORED[database.settings.database_kind]
        session.disable_timeouts()
        for statement in session.scalars(text(DISABLE_TRIGGERS[database.settings.database_kind])).all():
            session.execute(text(statement))
        session.execute(
            text(
                f"""
                {_NUMBERS.format(count=count)}
                INSERT INTO audit_event (chain_id, position, at, action, actor_id, object_type, object_id, before,
                    after, request_id, key_id, link)
                SELECT {user_id}, 1000 + i, {stored.format(f"{_FIRST} + i")}, 'time_entry:change', {user_id},
                    'time_entry', {entry_id}, :before, :after, 'request ' || i, 'key', 'link ' || i FROM n
                """
            ),
            {
                "before": f'{{"description":"{description}","version":1}}',
                "after": f'{{"description":"{description}","version":2}}',
            },
        )
        for statement in restore:
            session.execute(text(statement))
