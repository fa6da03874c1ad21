"""Whose certificates, how far they are trusted, and where they came from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables and columns of each area, one function an area below."""
    _harvest()


def _harvest() -> None:
    op.execute("UPDATE partner SET source = 'manual' WHERE source = 'imported'")
    for name in ("decided_by", "message_id", "anchor"):
        column = sa.Column(name, sa.String, nullable=False, server_default="")
        op.add_column("partner", column)
    op.create_table(
        "pending",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("domain", sa.String, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("anchor", sa.String, nullable=False),
        sa.Column("warning", sa.String, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("first_seen", sa.DateTime, nullable=False),
        sa.Column("last_seen", sa.DateTime, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_index("pending_domain", "pending", ["domain"])
    op.create_index("pending_last_seen", "pending", ["last_seen"])
    op.create_table(
        "declined",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, primary_key=True),
        sa.Column("declined_at", sa.DateTime, nullable=False),
    )
