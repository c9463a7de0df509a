"""Add required password changes, and password links that work once.

Why: an admin who creates a user should never know the user's password.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_25_passwords"
down_revision = "2026_11_25_login_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("must_change_password", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "password_link",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_password_link_user_id_user"),
    )
    op.create_index("uq_password_link_token_hash", "password_link", ["token_hash"], unique=True)


def downgrade() -> None:
    op.drop_table("password_link")
    op.drop_column("user", "must_change_password")
