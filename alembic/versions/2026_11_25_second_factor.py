"""Add the second factor: TOTP secrets and recovery codes.

Why: a password alone does not protect against phishing.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_25_second_factor"
down_revision = "2026_11_25_api_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("has_second_factor", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "second_factor",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", sa.String(200), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("confirmed_at", Instant, nullable=True),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_second_factor_user_id_user"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("user_id", sa.Integer, primary_key=True),
        sa.Column("code_hash", sa.String(64), primary_key=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_recovery_code_user_id_user"),
    )


def downgrade() -> None:
    op.drop_table("recovery_code")
    op.drop_table("second_factor")
    op.drop_column("user", "has_second_factor")
