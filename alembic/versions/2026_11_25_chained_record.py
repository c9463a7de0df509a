"""Turn the audit log into chains, one per user, whose personal values can be erased.

Why: append-only triggers restrict the application, but not the owner of the database. Each event now has an HMAC over
itself and the previous link, and a head row stores the length of each chain. Existing events are chained while they are
copied, in the order in which they were written.
"""

import hashlib
import hmac
import json
import secrets

import sqlalchemy as sa

from alembic import context, op
from app.core.database.column_types import Instant

revision = "2026_11_25_chained_record"
down_revision = "2026_11_23_first_tables"
branch_labels = None
depends_on = None

PERSONAL = ("email", "first_name", "last_name")
BATCH = 1000
GENESIS = ""
KEY_PURPOSE, KEY_NAME = b"employee-time-tracking-api: audit chain", b"name of this key"
MAC_COLUMNS = (
    "chain_id", "position", "at", "action", "actor_id", "object_type", "object_id", "before", "after", "reason",
    "request_id", "key_id",
)  # fmt: skip

# REPLACE fires no DELETE triggers unless the connection has recursive_triggers on, so an INSERT trigger checks too.
# Erasing a user removes the personal values of the user's chain, and only after the audit event of the erasure.
SQLITE_GUARDS = """
CREATE TRIGGER audit_event_append_only_UPDATE BEFORE UPDATE ON audit_event
WHEN NOT (
    NEW.personal IS NULL
    AND (NEW.chain_id, NEW.position, NEW.at, NEW.action, NEW.actor_id, NEW.object_type, NEW.object_id, NEW.before,
        NEW.after, NEW.reason, NEW.request_id, NEW.key_id, NEW.link)
    IS (OLD.chain_id, OLD.position, OLD.at, OLD.action, OLD.actor_id, OLD.object_type, OLD.object_id, OLD.before,
        OLD.after, OLD.reason, OLD.request_id, OLD.key_id, OLD.link)
    AND EXISTS (
        SELECT 1 FROM audit_chain JOIN audit_event ON position = length AND audit_event.chain_id = audit_chain.chain_id
        WHERE audit_chain.chain_id = OLD.chain_id AND action = 'user:erase'
    )
)
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END;
CREATE TRIGGER audit_event_append_only_DELETE BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END;
CREATE TRIGGER audit_event_append_only_INSERT BEFORE INSERT ON audit_event
WHEN EXISTS (SELECT 1 FROM audit_event WHERE chain_id = NEW.chain_id AND position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END;
CREATE TRIGGER audit_event_extends_its_chain AFTER INSERT ON audit_event
BEGIN
    INSERT INTO audit_chain (chain_id, length, last_link)
    SELECT NEW.chain_id, 0, ''
    WHERE NEW.position = 1 AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE chain_id = NEW.chain_id);
    UPDATE audit_chain SET length = NEW.position, last_link = NEW.link
    WHERE chain_id = NEW.chain_id AND length = NEW.position - 1;
    SELECT RAISE(ABORT, 'audit_event_extends_its_chain') WHERE changes() = 0;
END;
CREATE TRIGGER audit_chain_only_grows_UPDATE BEFORE UPDATE ON audit_chain
WHEN NOT (NEW.chain_id = OLD.chain_id AND NEW.length = OLD.length + 1)
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END;
CREATE TRIGGER audit_chain_only_grows_DELETE BEFORE DELETE ON audit_chain
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END;
CREATE TRIGGER audit_chain_only_grows_INSERT BEFORE INSERT ON audit_chain
WHEN EXISTS (SELECT 1 FROM audit_chain WHERE chain_id = NEW.chain_id)
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END;
"""
POSTGRESQL_GUARDS = """
CREATE OR REPLACE FUNCTION audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.personal IS NULL AND to_jsonb(NEW) - 'personal' = to_jsonb(OLD) - 'personal' AND EXISTS (
            SELECT FROM audit_chain JOIN audit_event USING (chain_id)
            WHERE chain_id = OLD.chain_id AND position = length AND action = 'user:erase'
        ) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_event_is_append_only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION audit_event_extends_its_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.position = 1 THEN
        INSERT INTO audit_chain (chain_id, length, last_link) VALUES (NEW.chain_id, 0, '') ON CONFLICT DO NOTHING;
    END IF;
    UPDATE audit_chain SET length = NEW.position, last_link = NEW.link
    WHERE chain_id = NEW.chain_id AND length = NEW.position - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit_event_extends_its_chain' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION audit_chain_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.chain_id = OLD.chain_id AND NEW.length = OLD.length + 1 THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_chain_only_grows' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_event_append_only_row BEFORE UPDATE OR DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION audit_event_is_append_only();
CREATE TRIGGER audit_event_append_only_truncate BEFORE TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only();
CREATE TRIGGER audit_event_extends_its_chain AFTER INSERT ON audit_event
FOR EACH ROW EXECUTE FUNCTION audit_event_extends_its_chain();
CREATE TRIGGER audit_chain_only_grows_row BEFORE UPDATE OR DELETE ON audit_chain
FOR EACH ROW EXECUTE FUNCTION audit_chain_only_grows();
CREATE TRIGGER audit_chain_only_grows_truncate BEFORE TRUNCATE ON audit_chain
FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_only_grows();
"""
# As created by 2026_11_23_first_tables.
SQLITE_FORMER_GUARDS = """
CREATE TRIGGER audit_event_append_only_{event} BEFORE {event} ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END
"""
POSTGRESQL_FORMER_GUARDS = """
CREATE OR REPLACE FUNCTION audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit_event_is_append_only' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER audit_event_append_only_row BEFORE UPDATE OR DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION audit_event_is_append_only();
CREATE TRIGGER audit_event_append_only_truncate BEFORE TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only();
"""


def upgrade() -> None:
    _wait_for_writers()
    _create_chained()
    heads = _chain_events()
    op.drop_table("audit_event")
    op.rename_table("new_audit_event", "audit_event")
    op.create_index("ix_audit_event_at", "audit_event", ["at", "chain_id", "position"])
    op.create_index("ix_audit_event_object", "audit_event", ["object_type", "object_id"])
    by_another = sa.text("actor_id <> chain_id")
    op.create_index(
        "ix_audit_event_by_another",
        "audit_event",
        ["actor_id", "at"],
        sqlite_where=by_another,
        postgresql_where=by_another,
    )
    op.create_table(
        "audit_chain",
        sa.Column("chain_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("last_link", sa.String(64), nullable=False),
    )
    chain = sa.table("audit_chain", *(sa.column(name) for name in ("chain_id", "length", "last_link")))
    # The chain of events without a user gets its head row now, so that its first two writers wait for each other.
    op.bulk_insert(
        chain,
        [
            {"chain_id": chain_id, "length": length, "last_link": link}
            for chain_id, (length, link) in sorted(({0: (0, GENESIS)} | heads).items())
        ],
    )
    _add_guards()


def _wait_for_writers() -> None:
    """Lock the table: an event of a transaction that is still open would be lost with the old table.

    SQLite has one writer, which is this migration.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")


def _plain_events(table: str) -> sa.TableClause:
    """Return the table of events as before this revision."""
    return sa.table(
        table,
        *(sa.column(name) for name in ("id", "action", "actor_id", "subject_id", "object_type", "object_id")),
        sa.column("at", Instant),
        sa.column("before", sa.JSON(none_as_null=True)),
        sa.column("after", sa.JSON(none_as_null=True)),
        *(sa.column(name) for name in ("reason", "request_id")),
    )


def _chained_events(table: str) -> sa.TableClause:
    columns = (*MAC_COLUMNS, "personal", "link")
    return sa.table(table, *(sa.column(name, Instant if name == "at" else None) for name in columns))


def _create_chained() -> None:
    op.create_table(
        "new_audit_event",
        sa.Column("chain_id", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor_id", sa.Integer),
        sa.Column("object_type", sa.String(32), nullable=False),
        sa.Column("object_id", sa.Integer),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("reason", sa.String(80)),
        sa.Column("personal", sa.Text),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "position", name="pk_audit_event"),
        sqlite_with_rowid=False,
    )


def _chain_events() -> dict[int, tuple[int, str]]:
    """Copy the events into chains, and return the chain heads."""
    heads: dict[int, tuple[int, str]] = {}
    connection, last_id = op.get_bind(), 0
    source, target = _plain_events("audit_event"), _chained_events("new_audit_event")
    while True:
        remaining = sa.select(source).where(source.c.id > last_id)
        batch = connection.execute(remaining.order_by(source.c.id).limit(BATCH)).all()
        if not batch:
            return heads
        key = _mac(context.config.attributes["keyring"].audit_secrets[0].encode(), KEY_PURPOSE).digest()
        key_id = _mac(key, KEY_NAME).hexdigest()[:16]
        events = []
        for old in batch:
            chain_id, salt, values = old.subject_id or 0, secrets.token_hex(16), {}
            length, previous = heads.get(chain_id, (0, GENESIS))
            event = {name: getattr(old, name) for name in MAC_COLUMNS if hasattr(old, name)} | {
                "chain_id": chain_id,
                "position": length + 1,
                "before": _redact(salt, values, "before", old.before),
                "after": _redact(salt, values, "after", old.after),
                "reason": _digest(salt, values, "reason", old.reason),
                "key_id": key_id,
            }
            facts = event | {"at": old.at.isoformat(), "previous": previous}
            event["link"] = _mac(key, _canonical(facts).encode()).hexdigest()
            event["personal"] = _canonical({"salt": salt, "values": values}) if values else None
            heads[chain_id] = (length + 1, event["link"])
            events.append(event)
        connection.execute(sa.insert(target), events)
        last_id = batch[-1].id


def _redact(salt: str, values: dict[str, str], side: str, facts: dict[str, object] | None) -> str | None:
    if facts is None:
        return None
    digests = {name: _digest(salt, values, f"{side}.{name}", facts[name]) for name in PERSONAL if name in facts}
    return _canonical(facts | digests)


def _digest(salt: str, values: dict[str, str], path: str, value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    values[path] = value
    return "sha256:" + hashlib.sha256("\n".join((salt, path, value)).encode()).hexdigest()


# Own copies of the functions for links and digests: later changes of the application must not affect this migration.


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _mac(key: bytes, content: bytes) -> hmac.HMAC:
    return hmac.new(key, content, hashlib.sha256)


def _add_guards() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL_GUARDS)
        return
    for trigger in SQLITE_GUARDS.split("\nCREATE ")[1:]:
        op.execute(f"CREATE {trigger}")


def downgrade() -> None:
    """Restore the former table. Erased values stay erased, and the links are lost."""
    _wait_for_writers()
    op.create_table(
        "old_audit_event",
        sa.Column("id", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), primary_key=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor_id", sa.Integer),
        sa.Column("subject_id", sa.Integer),
        sa.Column("object_type", sa.String(32), nullable=False),
        sa.Column("object_id", sa.Integer),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("reason", sa.String(500)),
        sa.Column("request_id", sa.String(64), nullable=False),
    )
    _unchain_events()
    for table in ("audit_event", "audit_chain"):
        op.drop_table(table)
    op.rename_table("old_audit_event", "audit_event")
    op.create_index("ix_audit_event_subject_id", "audit_event", ["subject_id", "id"])
    op.create_index("ix_audit_event_object", "audit_event", ["object_type", "object_id"])
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(SQLITE_FORMER_GUARDS.format(event=event))
        return
    op.execute("DROP FUNCTION audit_event_extends_its_chain(); DROP FUNCTION audit_chain_only_grows();")
    op.execute("ALTER SEQUENCE old_audit_event_id_seq RENAME TO audit_event_id_seq")
    op.execute("ALTER INDEX old_audit_event_pkey RENAME TO audit_event_pkey")
    op.execute(POSTGRESQL_FORMER_GUARDS)


def _unchain_events() -> None:
    source, target = _chained_events("audit_event"), _plain_events("old_audit_event")
    order = (source.c.at, source.c.chain_id, source.c.position)
    connection, last = op.get_bind(), None
    while True:
        remaining = sa.true() if last is None else sa.tuple_(*order) > sa.tuple_(*last)
        batch = connection.execute(sa.select(source).where(remaining).order_by(*order).limit(BATCH)).all()
        if not batch:
            return
        connection.execute(sa.insert(target), [_unchain_event(event) for event in batch])
        last = [sa.bindparam(None, getattr(batch[-1], column.name), column.type) for column in order]


def _unchain_event(event: sa.Row) -> dict[str, object]:
    values = json.loads(event.personal)["values"] if event.personal else {}

    def side(name: str) -> dict[str, object] | None:
        text = getattr(event, name)
        facts = None if text is None else json.loads(text)
        return facts and {
            field: values.get(f"{name}.{field}") if field in PERSONAL and value else value
            for field, value in facts.items()
        }

    unchanged = {name: getattr(event, name) for name in ("at", "action", "actor_id", "object_type", "object_id")}
    return unchanged | {
        "subject_id": event.chain_id or None,
        "before": side("before"),
        "after": side("after"),
        "reason": values.get("reason"),
        "request_id": event.request_id,
    }
