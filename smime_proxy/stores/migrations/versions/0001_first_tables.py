"""The first tables: accounts, keys, partners, anchors, the authority, the audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _common()
    _accounts()
    _partners()
    _anchors()


def _common() -> None:
    op.create_table(
        "state",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("key_check", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("verb", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "certificate",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False, unique=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("locator", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "chain",
        sa.Column(
            "certificate_id",
            sa.Integer,
            sa.ForeignKey("certificate.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("issuer_id", sa.Integer, sa.ForeignKey("certificate.id"), nullable=False),
    )
    op.create_index("chain_issuer", "chain", ["issuer_id"])


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("sign", sa.String),
        sa.Column("encrypt", sa.String),
        sa.Column("sent_copy", sa.String),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "account_address",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("account_id", sa.Integer, _account(cascade=True), nullable=False),
        sa.Column("is_alias", sa.Boolean, nullable=False),
    )
    op.create_index("account_address_account", "account_address", ["account_id"])
    op.create_table(
        "account_login",
        sa.Column("account_id", sa.Integer, _account(cascade=True), primary_key=True),
        sa.Column("login", sa.String, primary_key=True),
    )
    op.create_table(
        "key",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("account_id", sa.Integer, _account(), nullable=False),
        sa.Column("certificate_id", sa.Integer, _certificate(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("former", sa.Boolean, nullable=False),
        sa.Column("retired_at", sa.DateTime),
        sa.Column("imported_at", sa.DateTime, nullable=False),
        sa.Column("provenance", sa.String, nullable=False),
        sa.UniqueConstraint("account_id", "certificate_id", name="key_once_an_account"),
    )
    op.create_index("key_certificate", "key", ["certificate_id"])


def _partners() -> None:
    op.create_table(
        "partner",
        sa.Column("certificate_id", sa.Integer, _certificate(), primary_key=True),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("imported_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "partner_address",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column(
            "certificate_id",
            sa.Integer,
            sa.ForeignKey("partner.certificate_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("bound", sa.Boolean, nullable=False),
    )
    op.create_index("partner_address_certificate", "partner_address", ["certificate_id"])


def _anchors() -> None:
    op.create_table(
        "anchor",
        sa.Column("certificate_id", sa.Integer, _certificate(), primary_key=True),
        sa.Column("added_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "anchor_domain",
        sa.Column(
            "certificate_id",
            sa.Integer,
            sa.ForeignKey("anchor.certificate_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("domain", sa.String, primary_key=True),
    )
    op.create_table(
        "authority",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("certificate_id", sa.Integer, _certificate(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def _account(*, cascade: bool = False) -> sa.ForeignKey:
    return sa.ForeignKey("account.id", ondelete="CASCADE" if cascade else None)


def _certificate() -> sa.ForeignKey:
    return sa.ForeignKey("certificate.id")
