"""Add an index of all time entries by start time.

Why: a page of the newest entries of all users would otherwise sort the whole table.
"""

from alembic import op

revision = "2026_11_25_entries_by_start"
down_revision = "2026_11_25_idempotency_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_time_entry_start_time", "time_entry", ["start_time", "id"])


def downgrade() -> None:
    op.drop_index("ix_time_entry_start_time", "time_entry")
