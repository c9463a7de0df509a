"""Create the first tables: users, projects, time entries and the audit log.

Why: everything else depends on them. Rules that a model can't express (no overlap, append-only) are defined here, for
each database.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_23_first_tables"
down_revision = None
branch_labels = None
depends_on = None

# Collation "C", so that both databases sort and search alike. PostgreSQL's default depends on the server's locale.
KEY = sa.String(400).with_variant(sa.String(400, collation="C"), "postgresql")

# Existing entries do not overlap each other. A new non-empty entry therefore overlaps one of them only if it overlaps
# the last non-empty entry that starts before its end. One index lookup finds it, however many entries a user has.
# The unique index rejects a second open entry, as on PostgreSQL.
SQLITE_NO_OVERLAP = """
CREATE TRIGGER {name} BEFORE {event} ON time_entry
WHEN NEW.end_time IS NULL OR NEW.end_time > NEW.start_time
BEGIN
    SELECT RAISE(ABORT, 'ex_time_entry_no_overlap') FROM (
        SELECT end_time FROM time_entry
        WHERE user_id = NEW.user_id AND {not_itself}
            AND start_time < COALESCE(NEW.end_time, 9223372036854775807)
            AND (end_time IS NULL OR end_time > start_time)
        ORDER BY start_time DESC LIMIT 1
    ) WHERE end_time > NEW.start_time OR (end_time IS NULL AND NEW.end_time IS NOT NULL);
END
"""

SQLITE_APPEND_ONLY = """
CREATE TRIGGER audit_event_append_only_{event} BEFORE {event} ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END
"""


def upgrade() -> None:
    op.create_table("global_lock", sa.Column("name", sa.String(32), primary_key=True))
    op.execute("INSERT INTO global_lock (name) VALUES ('people')")
    op.create_table("time_zone", sa.Column("name", sa.String(64), primary_key=True))
    _create_user()
    _create_project()
    _create_time_entry()
    _create_audit_event()
    if op.get_bind().dialect.name == "sqlite":
        _add_sqlite_triggers()
    else:
        _add_postgresql_guards()


def _create_user() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("email_key", sa.String(400), nullable=False),
        sa.Column("first_name", sa.String(100), nullable=False),
        sa.Column("last_name", sa.String(100), nullable=False),
        sa.Column("name_key", sa.String(801), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("manager_id", sa.Integer, sa.ForeignKey("user.id", name="fk_user_manager_id_user")),
        sa.Column(
            "time_zone",
            sa.String(64),
            sa.ForeignKey("time_zone.name", name="fk_user_time_zone_time_zone"),
            nullable=False,
        ),
        sa.Column("token_epoch", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.CheckConstraint("manager_id <> id", name="ck_user_not_their_own_manager"),
        sa.CheckConstraint("role IN ('employee', 'manager', 'admin')", name="ck_user_role"),
    )
    op.create_index("uq_user_email_key", "user", ["email_key"], unique=True)
    op.create_index("ix_user_manager_id", "user", ["manager_id"])


def _create_project() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_index("uq_project_name_key", "project", ["name_key"], unique=True)
    op.create_table(
        "project_member",
        sa.Column(
            "project_id",
            sa.Integer,
            sa.ForeignKey("project.id", name="fk_project_member_project_id_project"),
            primary_key=True,
        ),
        sa.Column(
            "user_id", sa.Integer, sa.ForeignKey("user.id", name="fk_project_member_user_id_user"), primary_key=True
        ),
    )
    op.create_index("ix_project_member_user_id", "project_member", ["user_id"])


def _create_time_entry() -> None:
    op.create_table(
        "time_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("user.id", name="fk_time_entry_user_id_user"), nullable=False),
        sa.Column(
            "project_id",
            sa.Integer,
            sa.ForeignKey("project.id", name="fk_time_entry_project_id_project"),
            nullable=False,
        ),
        sa.Column("start_time", Instant, nullable=False),
        sa.Column("end_time", Instant),
        sa.Column("description", sa.String(2000), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("needs_review", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.CheckConstraint("end_time >= start_time", name="ck_time_entry_ends_after_start"),
        sqlite_autoincrement=True,  # never reuses the id, and thus the history, of a deleted entry
    )
    is_open = sa.text("end_time IS NULL")
    op.create_index(
        "uq_time_entry_one_open_per_user",
        "time_entry",
        ["user_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index("ix_time_entry_user_id_start_time", "time_entry", ["user_id", "start_time"])
    op.create_index("ix_time_entry_project_id", "time_entry", ["project_id"])


def _create_audit_event() -> None:
    op.create_table(
        "audit_event",
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
    op.create_index("ix_audit_event_subject_id", "audit_event", ["subject_id", "id"])
    op.create_index("ix_audit_event_object", "audit_event", ["object_type", "object_id"])


def _add_sqlite_triggers() -> None:
    op.execute(SQLITE_NO_OVERLAP.format(name="time_entry_no_overlap_insert", event="INSERT", not_itself="TRUE"))
    op.execute(
        SQLITE_NO_OVERLAP.format(
            name="time_entry_no_overlap_update",
            event="UPDATE OF id, user_id, start_time, end_time",
            not_itself="id <> OLD.id",
        )
    )
    op.execute(SQLITE_APPEND_ONLY.format(event="UPDATE"))
    op.execute(SQLITE_APPEND_ONLY.format(event="DELETE"))


def _add_postgresql_guards() -> None:
    # int4range allows = in a GiST index without the btree_gist extension, which managed databases may not offer.
    op.execute(
        "ALTER TABLE time_entry ADD CONSTRAINT ex_time_entry_no_overlap EXCLUDE USING gist "
        "(int4range(user_id, user_id, '[]') WITH =, tstzrange(start_time, end_time) WITH &&)"
    )
    op.execute(
        "CREATE FUNCTION audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit_event_is_append_only' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_event_append_only_row BEFORE UPDATE OR DELETE ON audit_event "
        "FOR EACH ROW EXECUTE FUNCTION audit_event_is_append_only()"
    )
    op.execute(
        "CREATE TRIGGER audit_event_append_only_truncate BEFORE TRUNCATE ON audit_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()"
    )


def downgrade() -> None:
    for table in ("audit_event", "time_entry", "project_member", "project", "user", "time_zone", "global_lock"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_event_is_append_only()")
