"""What partners said last, in signed mail, that they can read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "capabilities",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("seen_at", sa.DateTime, nullable=False),
    )
    op.create_index("capabilities_seen_at", "capabilities", ["seen_at"])
