"""An index of all entries by their start.

Why: a page of everybody's newest entries would otherwise sort all that were ever recorded.
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
