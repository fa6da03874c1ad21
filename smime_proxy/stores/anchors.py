"""The trust anchors for S/MIME, each for every address or for those of some domains.

RFC 5280 6.1.1 (d) (trust anchors); what they vouch for is decided in `certs.path`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from smime_proxy.address import AddressError, fold_domain
from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores import certificates, schema
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """A trust anchor; without domains it vouches for addresses anywhere."""

    certificate: Certificate
    domains: tuple[str, ...]
    added_at: datetime


@dataclass(frozen=True, slots=True)
class AddedAnchor:
    """A trust anchor after it was added, whether that changed anything, and what to know."""

    anchor: StoredAnchor
    is_new: bool
    warnings: tuple[str, ...]


def add(
    store: Store, act: Act, file: Sequence[Certificate], domains: Iterable[str] = ()
) -> tuple[AddedAnchor, ...]:
    """Trust the authorities of a file, for addresses in `domains` or, without, everywhere.

    What was said of the same anchor before is replaced. Raises `StoreError` when the file holds
    no authority and nothing self-signed, or a domain is none.
    """
    folded = _folded(domains)
    authorities = [c for c in file if c.is_ca or c.is_self_signed]
    if not authorities:
        raise StoreError(
            "the file holds no certificate of an authority: a person's certificate is trusted with"
            " `cert import --trust`"
        )
    with store.writing(act) as writing:
        return tuple(_add(writing, certificate, folded) for certificate in authorities)


def listing(store: Store) -> tuple[StoredAnchor, ...]:
    """Give all trust anchors, sorted by subject."""
    with store.reading() as connection:
        return load(connection)


def remove(store: Store, act: Act, fingerprint: str) -> StoredAnchor:
    """Trust an anchor no more; `fingerprint` may be its start.

    Raises `StoreError` when there is none, or more than one.
    """
    with store.writing(act) as writing:
        connection = writing.connection
        found = load(connection, certificates.begins_with(fingerprint))
        if len(found) != 1:
            many = f"{len(found)} trust anchors have" if found else "no trust anchor has"
            raise StoreError(f"{many} a fingerprint that starts with {fingerprint!a}")
        known = schema.certificate.c.fingerprint == found[0].certificate.fingerprint
        number = connection.execute(select(schema.certificate.c.id).where(known)).scalar_one()
        connection.execute(delete(schema.anchor).where(schema.anchor.c.certificate_id == number))
        certificates.release(connection, number)
        writing.record("trust remove", found[0].certificate.fingerprint)
        return found[0]


def load(
    connection: Connection, wanted: ColumnElement[bool] | None = None
) -> tuple[StoredAnchor, ...]:
    """Give the trust anchors a condition holds for, sorted by subject."""
    limits: defaultdict[int, list[str]] = defaultdict(list)
    for number, domain in connection.execute(select(schema.anchor_domain)):
        limits[number].append(domain)
    table, known = schema.anchor, schema.certificate
    statement = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    if wanted is not None:
        statement = statement.where(wanted)
    found = [
        StoredAnchor(
            certificates.stored(row.der), tuple(sorted(limits[row.certificate_id])), row.added_at
        )
        for row in connection.execute(statement)
    ]
    return tuple(sorted(found, key=lambda a: (a.certificate.subject, a.certificate.fingerprint)))


def _folded(domains: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted({fold_domain(domain) for domain in domains}))
    except AddressError as error:
        raise StoreError(f"--for takes a domain: {error}") from error


def _add(writing: Writing, certificate: Certificate, domains: tuple[str, ...]) -> AddedAnchor:
    connection, table = writing.connection, schema.anchor
    number = certificates.keep(connection, certificate)
    before = load(connection, schema.certificate.c.id == number)
    if not before:
        connection.execute(insert(table).values(certificate_id=number, added_at=writing.act.at))
    if not before or before[0].domains != domains:
        limit = schema.anchor_domain
        connection.execute(delete(limit).where(limit.c.certificate_id == number))
        for domain in domains:
            connection.execute(insert(limit).values(certificate_id=number, domain=domain))
        writing.record("trust add", " ".join((certificate.fingerprint, *domains)))
    after = load(connection, schema.certificate.c.id == number)[0]
    return AddedAnchor(after, before != (after,), _warnings(certificate, domains))


def _warnings(certificate: Certificate, domains: tuple[str, ...]) -> tuple[str, ...]:
    if domains:
        return ()
    name = certificate.subject or certificate.fingerprint[:16]
    return (f"{name} now vouches for addresses in every domain; --for DOMAIN limits it",)
