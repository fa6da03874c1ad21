"""Certificates as the store keeps them: once each, with their chain, for as long as needed.

RFC 5652 10.2.4 (issuer and serial number name a certificate), RFC 5280 6.1 (chains).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, or_, select

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.stores import schema
from smime_proxy.stores.errors import StoreError

MIN_PREFIX = 8  # hexadecimal digits of a fingerprint that people may shorten it to


def locator(issuer_key: bytes, serial: int) -> bytes:
    """Give what certificates of this issuer and serial number are found by.

    `issuer_key` is `certs.names.name_key` of the issuer's name.
    """
    return hashlib.sha256(b"%d\0%b" % (serial, issuer_key)).digest()


def keep(
    connection: Connection, certificate: Certificate, chain: Sequence[Certificate] = ()
) -> int:
    """Store a certificate and its chain unless they are there; gives the certificate's id.

    An empty chain leaves the known one as it is.
    """
    number = _keep(connection, certificate)
    issuers = [_keep(connection, issuer) for issuer in chain if issuer != certificate]
    if issuers and issuers != _chain_ids(connection, number):
        former = _chain_ids(connection, number)
        table = schema.chain
        connection.execute(delete(table).where(table.c.certificate_id == number))
        rows = [
            {"certificate_id": number, "position": position, "issuer_id": issuer}
            for position, issuer in enumerate(issuers)
        ]
        connection.execute(insert(table), rows)
        _drop_unused(connection, former)
    return number


def release(connection: Connection, certificate_id: int) -> None:
    """Forget a certificate and its chain as far as nothing else refers to them."""
    issuers = _chain_ids(connection, certificate_id)
    _drop_unused(connection, [certificate_id, *issuers])


def chain_of(connection: Connection, certificate_id: int) -> tuple[Certificate, ...]:
    """Give the chain of a stored certificate, nearest issuer first."""
    table = schema.chain
    rows = connection.execute(
        select(schema.certificate.c.der)
        .join(table, table.c.issuer_id == schema.certificate.c.id)
        .where(table.c.certificate_id == certificate_id)
        .order_by(table.c.position)
    )
    return tuple(stored(row.der) for row in rows)


def chains_of(
    connection: Connection, wanted: ColumnElement[bool]
) -> dict[int, tuple[Certificate, ...]]:
    """Give the chains of all certificates a condition on their table holds for, by id.

    Two queries, and each issuer is read once however many chains it is part of.
    """
    table, known = schema.chain, schema.certificate
    some = table.c.certificate_id.in_(select(known.c.id).where(wanted))
    links = select(table.c.certificate_id, table.c.issuer_id).where(some)
    ordered = links.order_by(table.c.certificate_id, table.c.position)
    issuers_of_some = known.c.id.in_(select(table.c.issuer_id).where(some))
    rows = connection.execute(select(known.c.id, known.c.der).where(issuers_of_some))
    read = {row.id: stored(row.der) for row in rows}
    chains: defaultdict[int, tuple[Certificate, ...]] = defaultdict(tuple)
    for number, issuer in connection.execute(ordered).all():
        chains[number] += (read[issuer],)
    return dict(chains)


def stored(der: bytes) -> Certificate:
    """Read a certificate that was readable when it was stored.

    Raises `StoreError` when it no longer is.
    """
    try:
        return Certificate.from_der(der)
    except CertificateError as error:
        raise StoreError(f"a certificate in the store is damaged: {error}") from error


def begins_with(prefix: str) -> ColumnElement[bool]:
    """Give the condition that finds a certificate by its fingerprint or the start of it.

    Colons, blanks and case do not count. Raises `StoreError` for what is no such start.
    """
    return schema.certificate.c.fingerprint.startswith(digits_of(prefix))


def digits_of(prefix: str) -> str:
    """Give the hexadecimal digits a fingerprint starts with; raises `StoreError` for none such."""
    digits = prefix.replace(":", "").replace(" ", "").lower()
    if len(digits) < MIN_PREFIX or not set(digits) <= set("0123456789abcdef"):
        raise StoreError(
            f"{prefix!a} is not a fingerprint: at least {MIN_PREFIX} hexadecimal digits of a"
            " SHA-256 fingerprint are expected"
        )
    return digits


def issuers(connection: Connection) -> tuple[Certificate, ...]:
    """Give every certificate that is part of a chain."""
    links = select(schema.chain.c.issuer_id).distinct()
    table = schema.certificate
    rows = connection.execute(select(table.c.der).where(table.c.id.in_(links)))
    return tuple(stored(row.der) for row in rows)


def _keep(connection: Connection, certificate: Certificate) -> int:
    table = schema.certificate
    known = connection.execute(
        select(table.c.id).where(table.c.fingerprint == certificate.fingerprint)
    ).scalar()
    if known is not None:
        return int(known)
    row = {
        "fingerprint": certificate.fingerprint,
        "der": certificate.der,
        "locator": locator(certificate.issuer_key, certificate.serial),
    }
    return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())


def _chain_ids(connection: Connection, certificate_id: int) -> list[int]:
    table = schema.chain
    found = select(table.c.issuer_id).where(table.c.certificate_id == certificate_id)
    return list(connection.execute(found.order_by(table.c.position)).scalars())


def _drop_unused(connection: Connection, ids: Iterable[int]) -> None:
    table = schema.certificate
    users = (
        schema.key.c.certificate_id,
        schema.partner.c.certificate_id,
        schema.anchor.c.certificate_id,
        schema.authority.c.certificate_id,
        schema.issued.c.certificate_id,
        schema.chain.c.issuer_id,
    )
    used = or_(*(exists().where(column == table.c.id) for column in users))
    for number in ids:
        connection.execute(delete(table).where(table.c.id == number, ~used))
