"""The built-in authority as the store keeps it: one certificate and its wrapped key.

RFC 5280 4 (its certificate); made and used by `certs.authority`.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import insert, select

from smime_proxy.certs.authority import PrivateKey
from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores import anchors, certificates, schema
from smime_proxy.stores.anchors import AUTHORITY, Scope, StoredAnchor
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import pkcs8, unwrapped
from smime_proxy.stores.vault import AUTHORITY_KEY, KEY_VERSION


@dataclass(frozen=True, slots=True)
class StoredAuthority:
    """The built-in authority, ready to issue."""

    certificate: Certificate
    private_key: PrivateKey = field(repr=False)
    created_at: datetime


def init(store: Store, act: Act, certificate: Certificate, private_key: PrivateKey) -> None:
    """Keep a new authority, and trust it for addresses everywhere.

    Raises `StoreError` when there is one: what it issued would lose its authority.
    """
    with store.writing(act) as writing:
        connection = writing.connection
        if connection.execute(select(schema.authority.c.id)).first():
            raise StoreError("the store has an authority already")
        number = certificates.keep(connection, certificate)
        row = {
            "id": 1,
            "certificate_id": number,
            "wrapped": store.vault.wrap(pkcs8(private_key), AUTHORITY_KEY, certificate.fingerprint),
            "key_version": KEY_VERSION,
            "created_at": act.at,
        }
        connection.execute(insert(schema.authority).values(row))
        if not connection.execute(select(schema.anchor).filter_by(certificate_id=number)).first():
            scope = Scope(own_domains=True)  # what it issues is for ourselves first
            anchors.keep(writing, StoredAnchor(certificate, scope, act.at, AUTHORITY))
        writing.record("ca init", certificate.fingerprint)


def find(store: Store) -> StoredAuthority | None:
    """Give the authority with its key, or None when there is none.

    Raises `StoreError` when the key does not open.
    """
    table, known = schema.authority, schema.certificate
    with store.reading() as connection:
        statement = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
        row = connection.execute(statement).first()
    if row is None:
        return None
    certificate = certificates.stored(row.der)
    key = unwrapped(
        store.vault, row.wrapped, AUTHORITY_KEY, certificate.fingerprint, row.key_version
    )
    if not isinstance(key, PrivateKey):
        raise StoreError("the key of the authority is of an unknown type")
    return StoredAuthority(certificate, key, row.created_at)
