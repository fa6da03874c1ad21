"""Certificates of issuers that complete a chain: what came with a message, and what we know.

RFC 5652 10.2.3 (certificates in a message, in any order and number), RFC 4158 2 (path building).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from smime_proxy.certs.certificate import Certificate

MAX_SIGNATURE_CHECKS = 64  # a clean chain needs three; the slowest keys take 2 ms each
MAX_BROUGHT = 64  # considered of those that came with it; mail brings up to five, a bridge ten


@dataclass(slots=True)
class Effort:
    """What all searches with one pool may still cost together, in checks of signatures.

    A message may have many signers, and each of them as many ways as the others.
    """

    left: int = MAX_SIGNATURE_CHECKS

    def spend(self) -> None:
        """Count one check, made or remembered."""
        self.left -= 1


class ByName(Protocol):
    """Certificates found by the name of their subject."""

    def named(self, subject_key: bytes) -> Sequence[Certificate]:
        """Give those with this name as subject, by value (RFC 5280 7.1)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Issuers(Collection[Certificate]):
    """Certificates indexed by subject, so that ten thousand cost a search no more than ten."""

    by_subject: Mapping[bytes, Sequence[Certificate]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, certificates: Collection[Certificate]) -> "Issuers":
        """Index certificates, each once; what is indexed already stays so."""
        if isinstance(certificates, Issuers):
            return certificates
        by_subject: dict[bytes, list[Certificate]] = {}
        for certificate in dict.fromkeys(certificates):
            by_subject.setdefault(certificate.subject_key, []).append(certificate)
        return cls(by_subject)

    def named(self, subject_key: bytes) -> Sequence[Certificate]:
        """Give those with this name as subject, by value (RFC 5280 7.1)."""
        return self.by_subject.get(subject_key, ())

    def __iter__(self) -> Iterator[Certificate]:
        """Give all of them, those of one name together."""
        for some in self.by_subject.values():
            yield from some

    def __len__(self) -> int:
        """Count all of them."""
        return sum(map(len, self.by_subject.values()))

    def __contains__(self, certificate: object) -> bool:
        """Tell whether it is one of them."""
        return isinstance(certificate, Certificate) and certificate in self.named(
            certificate.subject_key
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What searches for a message or a certificate may use, but for `revoked` (fingerprints)."""

    brought: Issuers
    known: Issuers
    revoked: frozenset[str] = frozenset()
    effort: Effort = field(default_factory=Effort)

    @classmethod
    def of(
        cls, brought: "Collection[Certificate] | Pool", known: Collection[Certificate] = ()
    ) -> "Pool":
        """Take the first MAX_BROUGHT that came with a certificate, and all that are known."""
        if isinstance(brought, Pool):
            return brought
        return cls(Issuers.of(list(islice(brought, MAX_BROUGHT))), Issuers.of(known))

    def without(self, revoked: frozenset[str]) -> "Pool":
        """Leave out certificates that were taken back."""
        return Pool(self.brought, self.known, revoked, self.effort)

    def named(self, subject_key: bytes) -> Sequence[Certificate]:
        """Give those with this name as subject, those we know first: a stranger did not pick them.

        Each is there once.
        """
        found = (*self.known.named(subject_key), *self.brought.named(subject_key))
        return [one for one in dict.fromkeys(found) if one.fingerprint not in self.revoked]
