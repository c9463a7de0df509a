"""Add an index of the time entries that are flagged for review.

Why: an export counts them before its first byte. Without the index, that reads every entry of the period.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.postgresql.online_migration import autocommit

revision = "2026_12_01_flagged_entries"
down_revision = "2026_11_30_email_keys"
branch_labels = None
depends_on = None

_INDEX = "ix_time_entry_needs_review"


def upgrade() -> None:
    with autocommit():
        op.drop_index(_INDEX, "time_entry", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _INDEX,
            "time_entry",
            ["start_time"],
            sqlite_where=sa.text("needs_review = 1"),
            postgresql_where=sa.text("needs_review"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index(_INDEX, "time_entry")
