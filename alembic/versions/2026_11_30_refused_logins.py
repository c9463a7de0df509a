"""Count refused logins per account, until the audit log takes over the count.

Why: an audit event can never be deleted, and anybody can make logins fail.
"""

import sqlalchemy as sa

from alembic import op
from app.core.database.column_types import Instant

revision = "2026_11_30_refused_logins"
down_revision = "2026_11_30_name_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_login",
        sa.Column("chain_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("first_at", Instant, nullable=True),
        sa.Column("last_at", Instant, nullable=True),
        sa.Column("wrong_passwords", sa.BigInteger, nullable=False),
        sa.Column("missing_codes", sa.BigInteger, nullable=False),
        sa.Column("rejected_codes", sa.BigInteger, nullable=False),
        sa.Column("over_limit", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_refused_login_due_at", "refused_login", ["due_at"])


def downgrade() -> None:
    op.drop_table("refused_login")
