"""Count the wrong codes behind a right password, for each second factor.

Why: the limits on failed logins are counted for an hour, so codes could be guessed for weeks without an alarm.
"""

import sqlalchemy as sa

from alembic import op

revision = "2026_11_30_wrong_codes"
down_revision = "2026_11_30_refused_logins"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("second_factor", sa.Column("wrong_codes", sa.Integer, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("second_factor", "wrong_codes")
