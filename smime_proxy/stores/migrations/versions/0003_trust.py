"""Whose certificates, how far they are trusted, and where they came from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables and columns of each area, one function an area below."""
    _anchors()
    _harvest()


def _anchors() -> None:
    """Say where anchors come from; those of before keep their word, own domains included."""
    for column in (
        sa.Column("source", sa.String, nullable=False, server_default="manual"),
        sa.Column("source_version", sa.String, nullable=False, server_default=""),
        sa.Column("by_hand", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("own_domains", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("distrust_after", sa.DateTime),
    ):
        op.add_column("anchor", column)
    # What was limited to domains stays limited to them.
    limited = sa.text(
        "UPDATE anchor SET own_domains = :no"
        " WHERE certificate_id IN (SELECT certificate_id FROM anchor_domain)"
    )
    op.get_bind().execute(limited, {"no": False})
    op.create_table(
        "declined_anchor",
        sa.Column("fingerprint", sa.String, primary_key=True),
        sa.Column("declined_at", sa.DateTime, nullable=False),
    )


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
