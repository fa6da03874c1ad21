"""The tables of the store, as SQLAlchemy Core sees them; the migrations make them.

No RFC. Every certificate is kept once, by its fingerprint, and never changes: what is own, a
partner's, an anchor or part of a chain refers to it.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

SCHEMA_VERSION = "0004"  # the newest file in migrations/versions; `serve` compares it at start

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """A time, aware UTC outside the database and without a zone inside."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Drop the zone of a time after turning it to UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say again that the time is UTC."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


# One row: `revision` counts the writing transactions, `key_check` opens with the right master key.
state = Table(
    "state",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("key_check", LargeBinary, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("sign", String),
    Column("encrypt", String),
    Column("sent_copy", String),
    Column("refusal_text", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)

# Address and aliases; the primary key keeps two accounts from sharing one.
account_address = Table(
    "account_address",
    metadata,
    Column("key", String, primary_key=True),
    Column("text", String, nullable=False),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("is_alias", Boolean, nullable=False),
    Index("account_address_account", "account_id"),
)

account_login = Table(
    "account_login",
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("login", String, primary_key=True),
)

# Mailboxes that get what the keys of an account open; they need no account of their own.
account_reader = Table(
    "account_reader",
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String, primary_key=True),
    Column("text", String, nullable=False),
    Index("account_reader_key", "key"),
)

# Passwords, as PHC strings of Argon2id. A login without an account granted is none.
login = Table(
    "login",
    metadata,
    Column("login", String, primary_key=True),
    Column("hash", String, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

# `locator` is a digest of issuer and serial number, for signatures that bring no certificate.
# Ids are never used twice, so what was read once under an id stays right.
certificate = Table(
    "certificate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False, unique=True),
    Column("der", LargeBinary, nullable=False),
    Column("locator", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# The certificates between one and its root, nearest first.
chain = Table(
    "chain",
    metadata,
    Column("certificate_id", ForeignKey("certificate.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("issuer_id", ForeignKey("certificate.id"), nullable=False),
    Index("chain_issuer", "issuer_id"),
)

# A private key of an account, PKCS #8 wrapped with the master key (`key_version` in the AAD).
# An account with keys cannot be deleted: they go first, on purpose.
key = Table(
    "key",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False),
    Column("certificate_id", ForeignKey("certificate.id"), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("former", Boolean, nullable=False),
    Column("retired_at", Moment),
    Column("imported_at", Moment, nullable=False),
    Column("provenance", String, nullable=False),
    UniqueConstraint("account_id", "certificate_id", name="key_once_an_account"),
    Index("key_certificate", "certificate_id"),
)

partner = Table(
    "partner",
    metadata,
    Column("certificate_id", ForeignKey("certificate.id"), primary_key=True),
    Column("pinned", Boolean, nullable=False),
    Column("source", String, nullable=False),
    Column("imported_at", Moment, nullable=False),
    # Who took it in, the mail it was found in, and the anchor it led to then; "" for none.
    Column("decided_by", String, nullable=False, server_default=""),
    Column("message_id", String, nullable=False, server_default=""),
    Column("anchor", String, nullable=False, server_default=""),
)

# Which addresses a partner certificate serves; `bound` where the administrator said so. `source` is
# where it came from for this address: what was imported for one may be found for another.
partner_address = Table(
    "partner_address",
    metadata,
    Column("key", String, primary_key=True),
    Column(
        "certificate_id",
        ForeignKey("partner.certificate_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("text", String, nullable=False),
    Column("bound", Boolean, nullable=False),
    Column("source", String, nullable=False, server_default="manual"),
    Index("partner_address_certificate", "certificate_id"),
)

# Domains for all mailboxes of which a partner certificate stands, by decision of an administrator.
partner_domain = Table(
    "partner_domain",
    metadata,
    Column("domain", String, primary_key=True),
    Column(
        "certificate_id",
        ForeignKey("partner.certificate_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Index("partner_domain_certificate", "certificate_id"),
)

# `by_hand`: what it vouches for was said of this one; `own_domains`: of our own domains too.
anchor = Table(
    "anchor",
    metadata,
    Column("certificate_id", ForeignKey("certificate.id"), primary_key=True),
    Column("added_at", Moment, nullable=False),
    Column("source", String, nullable=False),
    Column("source_version", String, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("own_domains", Boolean, nullable=False),
    Column("distrust_after", Moment),
)

# Anchors from a list that an administrator removed: the list does not bring them back.
declined_anchor = Table(
    "declined_anchor",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("declined_at", Moment, nullable=False),
)

anchor_domain = Table(
    "anchor_domain",
    metadata,
    Column(
        "certificate_id",
        ForeignKey("anchor.certificate_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("domain", String, primary_key=True),
)

# The built-in authority's certificates with their keys, roots and what issues below them, and what
# each says was revoked; the newest issues.
authority = Table(
    "authority",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("certificate_id", ForeignKey("certificate.id"), nullable=False, unique=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("crl_number", Integer, nullable=False),
    Column("crl", LargeBinary),
    Column("crl_until", Moment),
)

# What the authority issued; an issuing authority has no address.
issued = Table(
    "issued",
    metadata,
    Column("certificate_id", ForeignKey("certificate.id"), primary_key=True),
    Column("authority_id", ForeignKey("authority.id"), nullable=False),
    Column("key", String, nullable=False),
    Column("address", String, nullable=False),
    Column("uses", String, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("reason", String, nullable=False),
    Index("issued_key", "key"),
)

# Certificates found in signed mail that nobody has decided about. They are kept apart from all
# others, so that no lookup can find one; `chain` are certificates in DER, one after another.
pending = Table(
    "pending",
    metadata,
    Column("key", String, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("text", String, nullable=False),
    Column("domain", String, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("anchor", String, nullable=False),
    Column("warning", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("messages", Integer, nullable=False),
    Index("pending_domain", "domain"),
    Index("pending_last_seen", "last_seen"),
)

# Certificates that were refused for an address: nobody is asked about them again.
declined = Table(
    "declined",
    metadata,
    Column("key", String, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("declined_at", Moment, nullable=False),
)

# What partners said last, in signed mail, that they can read; `key` is the mailbox's.
capabilities = Table(
    "capabilities",
    metadata,
    Column("key", String, primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Index("capabilities_seen_at", "seen_at"),
)

# Revocation lists by URL, OCSP answers by the certificates they are about; `der` is empty for what
# could not be had. `claimed_at` is when a process began to fetch it.
answer = Table(
    "answer",
    metadata,
    Column("name", String, primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("fetched_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("claimed_at", Moment),
    Index("answer_due_at", "due_at"),
)

# What people were told of something that ends, so that nobody is told twice; `told_at` is None
# while one process is about to.
notice = Table(
    "notice",
    metadata,
    Column("subject", String, primary_key=True),
    Column("said", String, primary_key=True),
    Column("claimed_at", Moment, nullable=False),
    Column("told_at", Moment),
)

# What directories outside said of a mailbox, as JSON; `key` has its local part as written, which
# the DNS wants (RFC 8162 3).
finding = Table(
    "finding",
    metadata,
    Column("key", String, primary_key=True),
    Column("source", String, primary_key=True),
    Column("said", String, nullable=False),
    Column("fetched_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("finding_expires_at", "expires_at"),
)

# Secrets of this store that are no private keys, wrapped with the master key, by what they are for.
secret = Table(
    "secret",
    metadata,
    Column("id", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_version", Integer, nullable=False),
)

# Keyed digests of the Message-IDs of mail that was decrypted, and when each was seen last, in days
# since 1970; nothing else is known of the mail.
decrypted = Table(
    "decrypted",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("day", Integer, nullable=False),
    Index("decrypted_day", "day"),
    sqlite_with_rowid=False,
)

# Who did what, and when; only ever added to.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("who", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("what", String, nullable=False),
    sqlite_autoincrement=True,
)
