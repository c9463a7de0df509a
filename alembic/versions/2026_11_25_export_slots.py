"""Add a table that limits the concurrent exports of each user.

Why: each export is a file on the server's disk until its client has read it.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_25_export_slots"
down_revision = "2026_11_25_second_factor"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_slot",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("held_until", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_export_slot_user_id_user"),
        sa.CheckConstraint("number IN (1, 2)", name="ck_export_slot_two_at_once"),
    )


def downgrade() -> None:
    op.drop_table("export_slot")
