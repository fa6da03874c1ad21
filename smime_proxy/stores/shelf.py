"""All certificates of the store in memory, parsed when first asked for and never again.

No RFC. A certificate of the store never changes and its id is never used twice.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from smime_proxy.certs.certificate import Certificate
from smime_proxy.stores import certificates, schema


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """All certificates of the store by id; `read` are those that were asked for."""

    ders: Mapping[int, bytes] = field(repr=False)
    chains: Mapping[int, Sequence[int]] = field(repr=False)
    by_locator: Mapping[bytes, Sequence[int]] = field(repr=False)
    read: dict[int, Certificate] = field(repr=False)

    def certificate(self, number: int) -> Certificate:
        """Give a certificate; raises `StoreError` when it is damaged."""
        known = self.read.get(number)
        if known is None:
            known = self.read[number] = certificates.stored(self.ders[number])
        return known

    def chain(self, number: int) -> tuple[Certificate, ...]:
        """Give the chain of a certificate, nearest issuer first."""
        return tuple(self.certificate(issuer) for issuer in self.chains.get(number, ()))

    def issuers(self) -> tuple[Certificate, ...]:
        """Give every certificate that is part of a chain."""
        numbers = {issuer for chain in self.chains.values() for issuer in chain}
        return tuple(self.certificate(number) for number in sorted(numbers))


@dataclass(frozen=True, slots=True, eq=False)
class Pinned(Mapping[Certificate, Container[str] | None]):
    """The pinned certificates as they lie on the shelf; none is parsed to ask whether it is one.

    Each with the keys of the mailboxes it was kept for, by `by_address`.
    """

    shelf: Shelf = field(repr=False)
    numbers: frozenset[int] = field(repr=False)
    by_address: Mapping[str, Sequence[int]] = field(repr=False)

    def __getitem__(self, certificate: Certificate) -> Container[str]:
        """Give for whom a certificate is pinned, octet for octet; raises KeyError."""
        name = certificates.locator(certificate.issuer_key, certificate.serial)
        for number in self.shelf.by_locator.get(name, ()):
            if number in self.numbers and self.shelf.ders[number] == certificate.der:
                return _Served(self.by_address, number)
        raise KeyError(certificate)

    def __iter__(self) -> Iterator[Certificate]:
        """Give all of them, in the order they were kept."""
        return map(self.shelf.certificate, sorted(self.numbers))

    def __len__(self) -> int:
        """Count all of them."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True, eq=False)
class _Served(Container[str]):
    by_address: Mapping[str, Sequence[int]] = field(repr=False)
    number: int

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.number in self.by_address.get(key, ())


@dataclass(frozen=True, slots=True, eq=False)
class PinnedToo(Mapping[Certificate, Container[str] | None]):
    """The pinned certificates of the store, and `others` with the keys they are pinned for."""

    stored: Pinned = field(repr=False)
    others: Mapping[Certificate, Container[str]] = field(repr=False)

    def __getitem__(self, certificate: Certificate) -> Container[str]:
        """Give for whom a certificate is pinned in one or the other; raises KeyError."""
        own = self.others.get(certificate)
        if own is None:
            return self.stored[certificate]
        return _Both(own, self.stored[certificate]) if certificate in self.stored else own

    def __iter__(self) -> Iterator[Certificate]:
        """Give all of them once."""
        yield from self.others
        yield from (one for one in self.stored if one not in self.others)

    def __len__(self) -> int:
        """Count all of them."""
        return len(self.stored) + sum(one not in self.stored for one in self.others)


@dataclass(frozen=True, slots=True, eq=False)
class _Both(Container[str]):
    one: Container[str] = field(repr=False)
    other: Container[str] = field(repr=False)

    def __contains__(self, key: object) -> bool:
        return key in self.one or key in self.other


def load_shelf(connection: Connection, before: Shelf | None) -> Shelf:
    """Read all certificates; of those that `before` has, neither octets nor parsing again."""
    table, known = schema.certificate, before.ders if before else {}
    fresh = select(table.c.id, table.c.der).where(table.c.id > max(known, default=0))
    octets = {number: der for number, der in connection.execute(fresh).all()}  # noqa: C416 - rows are tuples, but not typed so
    ders: dict[int, bytes] = {}
    by_locator: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, name in connection.execute(select(table.c.id, table.c.locator)).all():
        ders[number] = known.get(number) or octets[number]
        by_locator[name].append(number)
    # A copy in one step: other threads may be adding to it.
    read = dict(before.read) if before else {}
    return Shelf(
        ders,
        _chains(connection),
        dict(by_locator),
        {number: certificate for number, certificate in read.items() if number in ders},
    )


def _chains(connection: Connection) -> dict[int, list[int]]:
    table = schema.chain
    chains: defaultdict[int, list[int]] = defaultdict(list)
    links = select(table.c.certificate_id, table.c.issuer_id)
    ordered = links.order_by(table.c.certificate_id, table.c.position)
    for number, issuer in connection.execute(ordered).all():
        chains[number].append(issuer)
    return dict(chains)
