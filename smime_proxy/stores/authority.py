"""The built-in authority as the store keeps it: its certificates and their wrapped keys.

RFC 5280 4 (the certificates); made and used by `certs.authority`. A root signs issuing authorities,
the newest of these signs certificates for mailboxes; in stores of before the root does that itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.x509.oid import NameOID
from sqlalchemy import Connection, Row, insert, select

from smime_proxy.certs.authority import Issuer, PrivateKey
from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores import anchors, certificates, schema
from smime_proxy.stores.anchors import AUTHORITY, Scope, StoredAnchor
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import pkcs8, unwrapped
from smime_proxy.stores.vault import AUTHORITY_KEY, KEY_VERSION, Vault

ISSUES = "issuing authority"  # what such a certificate is for, in place of an end entity's uses


@dataclass(frozen=True, slots=True)
class StoredAuthority:
    """A certificate of the authority, ready to sign; `chain` leads to its root, root included."""

    number: int
    certificate: Certificate
    private_key: PrivateKey = field(repr=False)
    created_at: datetime
    chain: tuple[Certificate, ...] = ()


def init(store: Store, act: Act, root: Issuer, issuing: Issuer | None = None) -> None:
    """Keep a new authority, and trust it for addresses everywhere, our own included.

    Raises `StoreError` when there is one: what it issued would lose its authority.
    """
    with store.writing(act) as writing:
        if writing.connection.execute(select(schema.authority.c.id)).first():
            raise StoreError("the store has an authority already")
        _keep_root(writing, writing.vault, root)
        if issuing is not None:
            _keep_issuing(writing, writing.vault, issuing)
        writing.record("ca init", root.certificate.fingerprint)


def renew(store: Store, act: Act, issuing: Issuer, root: Issuer | None = None) -> None:
    """Let a new issuing authority issue from now on, below a new root if there is one.

    Those of before stay, to say what they revoke, and their roots stay trusted.
    """
    with store.writing(act) as writing:
        if root is not None:
            _keep_root(writing, writing.vault, root)
        _keep_issuing(writing, writing.vault, issuing)
        writing.record("ca renew", issuing.certificate.fingerprint)


def certificates_of(connection: Connection) -> tuple[Certificate, ...]:
    """Give all certificates of the authority, the oldest first."""
    return tuple(certificates.stored(row.der) for row in _rows(connection))


def find(store: Store) -> StoredAuthority | None:
    """Give what issues, with its key, or None when there is nothing.

    Raises `StoreError` when its key does not open, and when what issued last is revoked.
    """
    with store.reading() as connection:
        rows = _rows(connection)
        revoked = schema.issued.c.revoked_at.is_not(None)
        lost = set(
            connection.execute(select(schema.issued.c.certificate_id).where(revoked)).scalars()
        )
    if not rows:
        return None
    read = [(row, certificates.stored(row.der)) for row in rows]
    below = [(row, certificate) for row, certificate in read if not certificate.is_self_signed]
    row, certificate = (below or read)[-1]
    if row.certificate_id in lost:
        raise StoreError("the issuing authority is revoked: `ca renew` makes another")
    above = tuple(c for _, c in read if c != certificate and c.ski == certificate.aki)
    return opened(store.vault, row, above)


def find_root(store: Store) -> StoredAuthority | None:
    """Give the newest root with its key; raises `StoreError` when that does not open."""
    with store.reading() as connection:
        rows = [r for r in _rows(connection) if certificates.stored(r.der).is_self_signed]
    return opened(store.vault, rows[-1]) if rows else None


def names(store: Store) -> tuple[str, int, int]:
    """Give the name of the first root, and how many roots and issuing authorities there were."""
    with store.reading() as connection:
        known = certificates_of(connection)
    roots = [certificate for certificate in known if certificate.is_self_signed]
    first = roots[0].x509().subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(first), len(roots), len(known) - len(roots)


def opened(
    vault: Vault, row: Row[tuple[object, ...]], chain: Sequence[Certificate] = ()
) -> StoredAuthority:
    """Unwrap the key of a row of the authority, joined with its certificate's DER.

    Raises `StoreError` when it does not open.
    """
    certificate = certificates.stored(row.der)
    key = unwrapped(vault, row.wrapped, AUTHORITY_KEY, certificate.fingerprint, row.key_version)
    if not isinstance(key, PrivateKey):
        raise StoreError("the key of the authority is of an unknown type")
    return StoredAuthority(row.id, certificate, key, row.created_at, tuple(chain))


def _rows(connection: Connection) -> Sequence[Row[tuple[object, ...]]]:
    table, known = schema.authority, schema.certificate
    joined = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    return connection.execute(joined.order_by(table.c.id)).all()


def _keep_root(writing: Writing, vault: Vault, root: Issuer) -> None:
    number = _keep(writing, vault, root)
    known = schema.anchor.c.certificate_id == number
    if not writing.connection.execute(select(schema.anchor).where(known)).first():
        scope = Scope(own_domains=True)  # what it issues is for ourselves first
        anchors.keep(writing, StoredAnchor(root.certificate, scope, writing.act.at, AUTHORITY))


def _keep_issuing(writing: Writing, vault: Vault, issuing: Issuer) -> None:
    connection = writing.connection
    roots = [row for row in _rows(connection) if certificates.stored(row.der).is_self_signed]
    number = _keep(writing, vault, issuing)
    row = {
        "certificate_id": number,
        "authority_id": roots[-1].id,
        "key": "",
        "address": "",
        "uses": ISSUES,
        "issued_at": writing.act.at,
        "reason": "",
    }
    connection.execute(insert(schema.issued).values(row))


def _keep(writing: Writing, vault: Vault, issuer: Issuer) -> int:
    connection, certificate = writing.connection, issuer.certificate
    number = certificates.keep(connection, certificate)
    row = {
        "certificate_id": number,
        "wrapped": vault.wrap(pkcs8(issuer.private_key), AUTHORITY_KEY, certificate.fingerprint),
        "key_version": KEY_VERSION,
        "created_at": writing.act.at,
        "crl_number": 0,
    }
    connection.execute(insert(schema.authority).values(row))
    return number
