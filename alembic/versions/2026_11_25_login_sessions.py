"""Add login sessions, to which access tokens belong, and drop the epoch that all tokens of a user shared.

Why: a logout must end one device's session and not all, and a session must end on every worker process at once.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_25_login_sessions"
down_revision = "2026_11_25_entries_by_start"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "login_session",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("refresh_hash", sa.String(64), nullable=False),
        sa.Column("spent_hash", sa.String(64), nullable=True),
        sa.Column("refreshed_at", Instant, nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("last_used_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_login_session_user_id_user"),
        sqlite_autoincrement=True,  # never reuses the id of an ended session, so its access tokens stay invalid
    )
    op.create_index("ix_login_session_user_id", "login_session", ["user_id"])
    op.create_index("ix_login_session_expires_at", "login_session", ["expires_at"])
    op.drop_column("user", "token_epoch")


def downgrade() -> None:
    op.add_column("user", sa.Column("token_epoch", sa.Integer, nullable=False, server_default="0"))
    op.drop_table("login_session")
