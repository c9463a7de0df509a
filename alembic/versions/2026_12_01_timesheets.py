"""Add timesheets: rules, periods that are submitted and approved, locked entries, the lock date, reminders.

Why: payroll pays approved hours, so an approved hour must not change unseen. The triggers hold that for every write.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_12_01_timesheets"
down_revision = "2026_12_01_flagged_entries"
branch_labels = None
depends_on = None

# All columns but timesheet_id. A locked row can be unlocked and nothing else.
_COLUMNS = (
    "id", "user_id", "project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version",
    "created_at", "updated_at",
)  # fmt: skip
_TIMESHEET_COLUMN = "timesheet_id INTEGER CONSTRAINT fk_time_entry_timesheet_id_timesheet REFERENCES timesheet (id)"
_OLD, _NEW = (", ".join(f"{row}.{column}" for column in _COLUMNS) for row in ("OLD", "NEW"))
_CHANGES_LOCKED = "OLD.timesheet_id IS NOT NULL AND (NEW.timesheet_id IS NOT NULL OR ({old}) {differs} ({new}))"
_ON_SQLITE = """
CREATE TRIGGER time_entry_locked_{event} BEFORE {event} ON time_entry WHEN {condition}
BEGIN SELECT RAISE(ABORT, 'ck_time_entry_locked'); END
"""
_ON_POSTGRESQL = """
CREATE TRIGGER time_entry_locked_{event} BEFORE {event} ON time_entry FOR EACH ROW WHEN ({condition})
EXECUTE FUNCTION time_entry_is_locked()
"""
_FUNCTION = """
CREATE FUNCTION time_entry_is_locked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'ck_time_entry_locked' USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_time_entry_locked';
END $$
"""
_WAITING = sa.text("status = 'submitted'")


def _user_key(table: str, column: str) -> sa.ForeignKey:
    return sa.ForeignKey("user.id", name=f"fk_{table}_{column}_user")


def upgrade() -> None:
    op.create_table(
        "timesheet_rule",
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.Integer, _user_key("timesheet_rule", "created_by"), nullable=False),
        sa.CheckConstraint("period IN ('week', 'two_weeks', 'half_month', 'month')", name="ck_timesheet_rule_period"),
    )
    _create_timesheet()
    op.create_table(
        "payroll_lock",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("before_day", sa.Date),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", Instant),
        sa.Column("changed_by", sa.Integer, _user_key("payroll_lock", "changed_by")),
    )
    op.execute("INSERT INTO payroll_lock (name, version) VALUES ('entries', 1)")
    op.create_table(
        "reminder",
        sa.Column("user_id", sa.Integer, _user_key("reminder", "user_id"), primary_key=True, autoincrement=False),
        sa.Column("day", sa.Date, nullable=False),
    )
    op.add_column("project", sa.Column("code", sa.String(50)))
    # Only admins write to this table, and punches lock its rows, which building an index allows.
    # squawk-ignore: require-concurrent-index-creation
    op.create_index("uq_project_code", "project", ["code"], unique=True)
    # In one statement, because PostgreSQL then knows that no row has a value, and does not read them. The other table
    # is new, so nobody waits for it.
    # squawk-ignore: adding-foreign-key-constraint
    op.execute(f"ALTER TABLE time_entry ADD COLUMN {_TIMESHEET_COLUMN}")
    _lock_entries()


def _create_timesheet() -> None:
    op.create_table(
        "timesheet",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, _user_key("timesheet", "user_id"), nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("total_seconds", sa.BigInteger),
        sa.Column("entries", sa.Integer),
        sa.Column("digest", sa.String(64)),
        sa.Column("digest_version", sa.SmallInteger),
        sa.Column("submitted_at", Instant),
        sa.Column("submitted_by", sa.Integer, _user_key("timesheet", "submitted_by")),
        sa.Column("decided_at", Instant),
        sa.Column("decided_by", sa.Integer, _user_key("timesheet", "decided_by")),
        sa.Column("returned_at", Instant),
        sa.Column("comment", sa.String(500)),
        sa.CheckConstraint("last_day >= first_day", name="ck_timesheet_days"),
        sa.CheckConstraint("status IN ('open', 'submitted', 'approved', 'rejected')", name="ck_timesheet_status"),
        sa.CheckConstraint("(status IN ('submitted', 'approved')) = (digest IS NOT NULL)", name="ck_timesheet_locked"),
        sa.CheckConstraint("decided_by <> user_id", name="ck_timesheet_not_by_oneself"),
        sqlite_autoincrement=True,  # a timesheet is never deleted, and its id is in events
    )
    op.create_index("uq_timesheet_user_id_first_day", "timesheet", ["user_id", "first_day"], unique=True)
    op.create_index("ix_timesheet_first_day", "timesheet", ["first_day"])
    op.create_index(
        "ix_timesheet_waiting",
        "timesheet",
        ["submitted_at", "id"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )


def _lock_entries() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    differs = "IS NOT" if is_sqlite else "IS DISTINCT FROM"
    if not is_sqlite:
        op.execute(_FUNCTION)
    pattern = _ON_SQLITE if is_sqlite else _ON_POSTGRESQL
    changes_locked = _CHANGES_LOCKED.format(old=_OLD, differs=differs, new=_NEW)
    for event, condition in (("update", changes_locked), ("delete", "OLD.timesheet_id IS NOT NULL")):
        op.execute(pattern.format(event=event, condition=condition))


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for event in ("update", "delete"):
        op.execute(f"DROP TRIGGER time_entry_locked_{event}" + ("" if is_sqlite else " ON time_entry"))
    if is_sqlite:
        _rebuild_without_timesheets()
    else:
        op.execute("DROP FUNCTION time_entry_is_locked()")
        op.drop_column("time_entry", "timesheet_id")
    op.drop_index("uq_project_code", "project")
    op.drop_column("project", "code")
    for table in ("reminder", "payroll_lock", "timesheet", "timesheet_rule"):
        op.drop_table(table)


def _rebuild_without_timesheets() -> None:
    """Copy time_entry with its indexes and triggers. SQLite drops no column of a foreign key."""
    objects = op.get_bind().execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'time_entry' AND sql IS NOT NULL")
    )
    definitions: dict[str, list[str]] = {"table": [], "index": [], "trigger": []}
    for kind, sql in objects:
        definitions[kind].append(sql)
    (table,) = definitions["table"]
    op.rename_table("time_entry", "former_entry")  # renaming the copy would quote its name
    op.execute(table.replace(f", {_TIMESHEET_COLUMN}", ""))
    columns = ", ".join(_COLUMNS)
    op.execute(f"INSERT INTO time_entry ({columns}) SELECT {columns} FROM former_entry")  # noqa: S608 - constants
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'time_entry'")
    op.execute("UPDATE sqlite_sequence SET name = 'time_entry' WHERE name = 'former_entry'")
    op.drop_table("former_entry")
    for sql in definitions["index"] + definitions["trigger"]:
        op.execute(sql)
