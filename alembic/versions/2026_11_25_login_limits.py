"""Store the failed logins of the last hour, and the addresses from which users have logged in.

Why: the limit on failed logins must be shared by all worker processes and survive a restart.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_25_login_limits"
down_revision = "2026_11_25_passwords"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "failed_login",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("address", sa.String(49), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_failed_login_account_at", "failed_login", ["account", "at"])
    op.create_index("ix_failed_login_address_at", "failed_login", ["address", "at"])
    op.create_index("ix_failed_login_at", "failed_login", ["at"])
    op.create_table(
        "known_address",
        sa.Column("user_id", sa.Integer, primary_key=True),
        sa.Column("address", sa.String(49), primary_key=True),
        sa.Column("last_login_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_known_address_user_id_user"),
    )


def downgrade() -> None:
    op.drop_table("known_address")
    op.drop_table("failed_login")
