"""Whose certificates, how far they are trusted, and where they came from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables and columns of each area, one function an area below."""
    _anchors()
    _harvest()
    _authority()
    _domains()
    _answers()
    _lifecycle()
    _discovery()
    _texts()
    _decrypted()
    _logins()


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
    source = sa.Column("source", sa.String, nullable=False, server_default="manual")
    op.add_column("partner_address", source)
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
        sa.Column("messages", sa.Integer, nullable=False),
    )
    op.create_index("pending_domain", "pending", ["domain"])
    op.create_index("pending_last_seen", "pending", ["last_seen"])
    op.create_table(
        "declined",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, primary_key=True),
        sa.Column("declined_at", sa.DateTime, nullable=False),
    )


def _authority() -> None:
    """Make room for more than one certificate; the root of before goes on issuing."""
    op.rename_table("authority", "former_authority")
    op.create_table(
        "authority",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "certificate_id",
            sa.Integer,
            sa.ForeignKey("certificate.id"),
            nullable=False,
            unique=True,
        ),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("crl_number", sa.Integer, nullable=False),
        sa.Column("crl", sa.LargeBinary),
        sa.Column("crl_until", sa.DateTime),
    )
    op.execute(
        "INSERT INTO authority"
        " (id, certificate_id, wrapped, key_version, created_at, crl_number)"
        " SELECT id, certificate_id, wrapped, key_version, created_at, 0 FROM former_authority"
    )
    op.drop_table("former_authority")
    op.execute(
        "UPDATE anchor SET source = 'authority'"
        " WHERE certificate_id IN (SELECT certificate_id FROM authority)"
    )
    op.create_table(
        "issued",
        sa.Column("certificate_id", sa.Integer, sa.ForeignKey("certificate.id"), primary_key=True),
        sa.Column("authority_id", sa.Integer, sa.ForeignKey("authority.id"), nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("uses", sa.String, nullable=False),
        sa.Column("issued_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_index("issued_key", "issued", ["key"])
    # Those given to accounts are known; `uses` is a guess that only a reissue reads.
    op.execute(
        "INSERT INTO issued (certificate_id, authority_id, key, address, uses, issued_at, reason)"
        " SELECT k.certificate_id, a.id, n.key, n.text,"
        " CASE WHEN o.kind = 'team' THEN 'signing' ELSE 'signing and encryption' END,"
        " MIN(k.imported_at), ''"
        " FROM key k JOIN account o ON o.id = k.account_id"
        " JOIN account_address n ON n.account_id = o.id AND NOT n.is_alias"
        " CROSS JOIN authority a WHERE k.provenance = 'issued' GROUP BY k.certificate_id"
    )


def _domains() -> None:
    """Certificates for all mailboxes of a domain."""
    op.create_table(
        "partner_domain",
        sa.Column("domain", sa.String, primary_key=True),
        sa.Column(
            "certificate_id",
            sa.Integer,
            sa.ForeignKey("partner.certificate_id", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
    op.create_index("partner_domain_certificate", "partner_domain", ["certificate_id"])


def _answers() -> None:
    op.create_table(
        "answer",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("fetched_at", sa.DateTime, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("claimed_at", sa.DateTime),
    )
    op.create_index("answer_due_at", "answer", ["due_at"])


def _lifecycle() -> None:
    op.create_table(
        "notice",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("said", sa.String, primary_key=True),
        sa.Column("claimed_at", sa.DateTime, nullable=False),
        sa.Column("told_at", sa.DateTime),
    )


def _discovery() -> None:
    """Remember what directories outside said."""
    op.create_table(
        "finding",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("said", sa.String, nullable=False),
        sa.Column("fetched_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
    )
    op.create_index("finding_expires_at", "finding", ["expires_at"])


def _texts() -> None:
    """What senders of encrypted mail to a team are told instead of the usual advice."""
    column = sa.Column("refusal_text", sa.String, nullable=False, server_default="")
    op.add_column("account", column)


def _decrypted() -> None:
    """Remember what was decrypted; the secret is made by the service, which has the master key."""
    op.create_table(
        "secret",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "decrypted",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("decrypted_day", "decrypted", ["day"])


def _logins() -> None:
    op.create_table(
        "login",
        sa.Column("login", sa.String, primary_key=True),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
    )
