"""The trust anchors for S/MIME: whom each vouches for, where it came from, since when.

RFC 5280 6.1.1 (d) (trust anchors); what they vouch for is decided in `certs.path`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from smime_proxy.address import AddressError, fold_domain
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores import certificates, schema
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.declared import Declared
from smime_proxy.stores.errors import StoreError

MANUAL = "manual"
MOZILLA = "mozilla"
AUTHORITY = "authority"  # the built-in one
SETTINGS = "settings"  # declared there, and not in the store


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose addresses an anchor vouches for: those at `domains`, without any those everywhere.

    Everywhere means everywhere but our own domains, unless `own_domains` says so.
    """

    domains: tuple[str, ...] = ()
    own_domains: bool = False

    @classmethod
    def of(cls, domains: Iterable[str], *, own_domains: bool = False) -> "Scope":
        """Fold the domains for comparison; raises `StoreError` for what is none."""
        try:
            return cls(tuple(sorted({fold_domain(domain) for domain in domains})), own_domains)
        except AddressError as error:
            raise StoreError(f"--for takes a domain: {error}") from error


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """A trust anchor; `by_hand` where its scope was said of it alone and not of a whole list.

    `added_at` is None for one the settings declare.
    """

    certificate: Certificate
    scope: Scope
    added_at: datetime | None
    source: str = MANUAL
    source_version: str = ""
    by_hand: bool = True
    distrust_after: datetime | None = None

    def anchor(self, own: Iterable[str], revoked: frozenset[str] = frozenset()) -> Anchor:
        """Give what paths are judged by; `own` are our own domains.

        `revoked` are fingerprints of what the built-in authority took back.
        """
        domains, mine = self.scope.domains, tuple(own)
        if self.scope.own_domains and domains:
            domains = (*domains, *mine)
        unless = () if self.scope.own_domains or domains else mine
        return Anchor(
            self.certificate,
            domains,
            unless=unless,
            distrust_after=self.distrust_after,
            revoked=revoked if self.source == AUTHORITY else frozenset(),
        )


@dataclass(frozen=True, slots=True)
class AddedAnchor:
    """A trust anchor after it was added, whether that changed anything, and what to know."""

    anchor: StoredAnchor
    is_new: bool
    warnings: tuple[str, ...]


def add(
    store: Store, act: Act, file: Sequence[Certificate], scope: Scope = Scope()
) -> tuple[AddedAnchor, ...]:
    """Trust the authorities of a file for the addresses of a scope.

    What was said of the same anchor before is replaced. Raises `StoreError` when the file holds
    no authority and nothing self-signed.
    """
    authorities = authorities_of(file)
    with store.writing(act) as writing:
        return tuple(_add(writing, certificate, scope) for certificate in authorities)


def authorities_of(file: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Give what of a file can be trusted as an authority; raises `StoreError` for none."""
    authorities = tuple(c for c in file if c.is_ca or c.is_self_signed)
    if not authorities:
        raise StoreError(
            "the file holds no certificate of an authority: a person's certificate is trusted with"
            " `cert import --trust`"
        )
    return authorities


def listing(store: Store) -> tuple[StoredAnchor, ...]:
    """Give all trust anchors, those the settings declare too, sorted by subject."""
    with store.reading() as connection:
        return in_order((*load(connection), *declared_ones(store.declared.current)))


def declared_ones(declared: Declared) -> tuple[StoredAnchor, ...]:
    """Give the anchors the settings declare as those of the store are."""
    return tuple(
        StoredAnchor(one.certificate, Scope(own_domains=one.own_domains), None, SETTINGS)
        for one in declared.trust.anchors
    )


def in_order(found: Iterable[StoredAnchor]) -> tuple[StoredAnchor, ...]:
    """Sort anchors by subject."""
    return tuple(sorted(found, key=lambda a: (a.certificate.subject, a.certificate.fingerprint)))


def remove(store: Store, act: Act, fingerprint: str) -> StoredAnchor:
    """Trust an anchor no more; `fingerprint` may be its start.

    One from a list is not brought back by that list. Raises `StoreError` when there is none, or
    more than one.
    """
    with store.writing(act) as writing:
        connection = writing.connection
        found = load(connection, certificates.begins_with(fingerprint))
        if not found:
            _refuse_declared(store.declared.current, fingerprint)
        if len(found) != 1:
            many = f"{len(found)} trust anchors have" if found else "no trust anchor has"
            raise StoreError(f"{many} a fingerprint that starts with {fingerprint!a}")
        drop(writing, found[0].certificate)
        if found[0].source == MOZILLA:
            declined = {"fingerprint": found[0].certificate.fingerprint, "declined_at": act.at}
            connection.execute(insert(schema.declined_anchor).values(declined))
        writing.record("trust remove", found[0].certificate.fingerprint)
        return found[0]


def load(
    connection: Connection,
    wanted: ColumnElement[bool] | None = None,
    read: Callable[[int], Certificate] | None = None,
) -> tuple[StoredAnchor, ...]:
    """Give the trust anchors a condition holds for, sorted by subject.

    `read` gives certificates by id where they have been read already.
    """
    limits: defaultdict[int, list[str]] = defaultdict(list)
    for number, domain in connection.execute(select(schema.anchor_domain)):
        limits[number].append(domain)
    table, known = schema.anchor, schema.certificate
    statement = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    if wanted is not None:
        statement = statement.where(wanted)
    found = [
        StoredAnchor(
            certificate=(
                read(row.certificate_id) if read is not None else certificates.stored(row.der)
            ),
            scope=Scope(tuple(sorted(limits[row.certificate_id])), row.own_domains),
            added_at=row.added_at,
            source=row.source,
            source_version=row.source_version,
            by_hand=row.by_hand,
            distrust_after=row.distrust_after,
        )
        for row in connection.execute(statement)
    ]
    return in_order(found)


def keep(writing: Writing, anchor: StoredAnchor) -> None:
    """Store an anchor as it is said, over what was said of it before; records nothing."""
    connection, table, limit = writing.connection, schema.anchor, schema.anchor_domain
    number = certificates.keep(connection, anchor.certificate)
    said = {
        "added_at": anchor.added_at,
        "source": anchor.source,
        "source_version": anchor.source_version,
        "by_hand": anchor.by_hand,
        "own_domains": anchor.scope.own_domains,
        "distrust_after": anchor.distrust_after,
    }
    row = table.c.certificate_id == number
    if connection.execute(select(table.c.certificate_id).where(row)).first():
        connection.execute(update(table).where(row).values(said))
    else:
        connection.execute(insert(table).values(certificate_id=number, **said))
    connection.execute(delete(limit).where(limit.c.certificate_id == number))
    for domain in anchor.scope.domains:
        connection.execute(insert(limit).values(certificate_id=number, domain=domain))


def drop(writing: Writing, certificate: Certificate) -> None:
    """Forget an anchor; records nothing."""
    connection, known = writing.connection, schema.certificate
    named = known.c.fingerprint == certificate.fingerprint
    number = connection.execute(select(known.c.id).where(named)).scalar_one()
    connection.execute(delete(schema.anchor).where(schema.anchor.c.certificate_id == number))
    certificates.release(connection, number)


def _refuse_declared(declared: Declared, fingerprint: str) -> None:
    for one in declared.trust.anchors:
        if one.certificate.fingerprint.startswith(fingerprint.replace(":", "").lower()):
            raise StoreError(
                f"{one.certificate.fingerprint[:16]} is declared in the settings, [trust]"
                f" ({one.origin}): change it there"
            )


def _add(writing: Writing, certificate: Certificate, scope: Scope) -> AddedAnchor:
    connection, declined = writing.connection, schema.declined_anchor
    mine = schema.certificate.c.fingerprint == certificate.fingerprint
    before = next(iter(load(connection, mine)), None)
    wanted = StoredAnchor(certificate, scope, writing.act.at)
    if before is not None:
        if before.source == AUTHORITY and not scope.domains:
            scope = Scope(own_domains=True)  # what it is there for
        wanted = replace(before, scope=scope, by_hand=True)
    if before != wanted:
        keep(writing, wanted)
        connection.execute(
            delete(declined).where(declined.c.fingerprint == certificate.fingerprint)
        )
        own = ["own-domains"] if scope.own_domains else []
        writing.record("trust add", " ".join([certificate.fingerprint, *scope.domains, *own]))
    return AddedAnchor(wanted, before != wanted, _warnings(certificate, scope))


def _warnings(certificate: Certificate, scope: Scope) -> tuple[str, ...]:
    if scope.domains:
        return ()
    name = certificate.subject or certificate.fingerprint[:16]
    if scope.own_domains:
        return (f"{name} now vouches for addresses in every domain, our own too",)
    but = "every domain but our own; --for DOMAIN limits it, --for-own adds our own"
    return (f"{name} now vouches for addresses in {but}",)
