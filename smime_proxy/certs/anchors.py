"""Trust anchors: for whom each speaks, and how validation finds those of a name among many.

RFC 5280 6.1.1 (d) (trust anchors).
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import AddressError, Mailbox, fold_domain
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError


@dataclass(frozen=True, slots=True)
class Anchor:
    """A certificate trusted by decision; with `domains` only for addresses exactly there.

    `unless` are domains it does not speak for, `distrust_after` is when it lost trust for what it
    issues from then on, `revoked` are fingerprints of what it took back and we know without a list.
    A `pinned` one is a person's, trusted as itself and never as an issuer: for the mailboxes whose
    keys are in `pinned_for`, whatever others it carries; None is for all of them.
    Domains are folded for comparison; raises `CertificateError` for what is no domain.
    """

    certificate: Certificate
    domains: tuple[str, ...] = ()
    pinned: bool = False
    unless: tuple[str, ...] = ()
    distrust_after: datetime | None = None
    revoked: frozenset[str] = frozenset()
    pinned_for: Container[str] | None = None

    def __post_init__(self) -> None:
        for name in ("domains", "unless"):
            try:
                folded = tuple(fold_domain(domain) for domain in getattr(self, name))
            except AddressError as error:
                raise CertificateError(f"not a domain to vouch for: {error}") from error
            object.__setattr__(self, name, folded)

    def speaks_for(self, domain: str) -> bool:
        """Tell whether it vouches for mailboxes of a domain at all, folded."""
        return domain not in self.unless and (not self.domains or domain in self.domains)

    def silence(self, leaf: Certificate, mailbox: Mailbox | None) -> str:
        """Say why the anchor does not speak for this certificate, ``""`` when it does.

        With a mailbox, that one must be in the certificate and in a domain; without, all of the
        certificate's mailboxes must be, and there must be one. None of them may be excepted.
        """
        if self.pinned:
            if leaf != self.certificate:
                return "pinned, so it vouches for nobody else"
            is_meant = mailbox is None or self.pinned_for is None or mailbox.key in self.pinned_for
            return "" if is_meant else f"trusted by itself, but not for {mailbox}"
        if self.distrust_after is not None and leaf.not_before > self.distrust_after:
            return f"not trusted for certificates issued after {self.distrust_after:%Y-%m-%d}"
        spoken = leaf.mailboxes if mailbox is None else (mailbox,)
        claimed = (*spoken, *leaf.dn_mailboxes) if mailbox is None else spoken
        excepted = [m.domain for m in claimed if m.domain in self.unless]
        if excepted:
            return f"not trusted for our own domain {excepted[0]} (`trust add` with --for-own)"
        if not self.domains:
            return ""
        carried = bool(spoken) and (mailbox is None or leaf.carries(mailbox))
        if carried and all(m.domain in self.domains for m in spoken):
            return ""
        return f"trusted only for {', '.join(self.domains[:3])} (`trust add` with --for)"


@dataclass(frozen=True, slots=True, eq=False)
class Anchors(Collection[Anchor]):
    """Many anchors, found by name; built once a snapshot, since each message asks.

    `pinned` are people's certificates, trusted as themselves, with the keys of the mailboxes each
    is meant for; there may be a hundred thousand, so only single ones are asked for. `revoked` are
    fingerprints of what any took back.
    """

    by_subject: Mapping[bytes, Sequence[Anchor]]
    pinned: Mapping[Certificate, Container[str] | None]
    revoked: frozenset[str]

    @classmethod
    def of(
        cls,
        anchors: Collection[Anchor],
        pinned: Mapping[Certificate, Container[str] | None] | None = None,
    ) -> "Anchors":
        """Index anchors by the names of their subjects; what is indexed already stays so.

        `pinned` takes the place of the pinned ones among them.
        """
        if isinstance(anchors, Anchors):
            return anchors
        issuing = [anchor for anchor in anchors if not anchor.pinned]
        by_subject: dict[bytes, list[Anchor]] = {}
        for anchor in issuing:
            by_subject.setdefault(anchor.certificate.subject_key, []).append(anchor)
        if pinned is None:
            pinned = {one.certificate: one.pinned_for for one in anchors if one.pinned}
        revoked = frozenset[str]().union(*(anchor.revoked for anchor in issuing))
        return cls(by_subject, pinned, revoked)

    def named(self, subject_key: bytes) -> Sequence[Anchor]:
        """Give the anchors of a name that may vouch for others."""
        return self.by_subject.get(subject_key, ())

    def pinning(self, leaf: Certificate) -> Anchor | None:
        """Give the leaf as an anchor of its own where it is pinned."""
        try:
            return Anchor(leaf, pinned=True, pinned_for=self.pinned[leaf])
        except KeyError:
            return None

    def speaking_for(self, domain: str) -> "Anchors":
        """Leave out those that do not vouch for a domain, folded; pinned ones stay."""
        speaking = {
            name: [anchor for anchor in some if anchor.speaks_for(domain)]
            for name, some in self.by_subject.items()
        }
        return Anchors(speaking, self.pinned, self.revoked)

    def forgiving(self) -> "Anchors":
        """Leave out pinned ones, and forget what any took back."""
        return Anchors(self.by_subject, {}, frozenset())

    def issuing(self) -> Iterator[Anchor]:
        """Give those that may vouch for others."""
        for some in self.by_subject.values():
            yield from some

    def __iter__(self) -> Iterator[Anchor]:
        """Give all of them, the pinned ones last."""
        yield from self.issuing()
        for certificate, keys in self.pinned.items():
            yield Anchor(certificate, pinned=True, pinned_for=keys)

    def __len__(self) -> int:
        """Count all of them."""
        return sum(map(len, self.by_subject.values())) + len(self.pinned)

    def __contains__(self, anchor: object) -> bool:
        """Tell whether it is one of them, with everything said of it."""
        if not isinstance(anchor, Anchor):
            return False
        if anchor.pinned:
            return anchor.certificate in self.pinned
        return anchor in self.named(anchor.certificate.subject_key)


@dataclass(frozen=True, slots=True)
class Roots:
    """All anchors that may issue, for whomever they speak."""

    anchors: Anchors

    def named(self, subject_key: bytes) -> Sequence[Certificate]:
        """Give the certificates of the anchors of a name."""
        return [anchor.certificate for anchor in self.anchors.named(subject_key)]


@dataclass(frozen=True, slots=True)
class Vouching:
    """The anchors as they speak for one certificate; with `silent` those that do not."""

    anchors: Anchors
    leaf: Certificate
    mailbox: Mailbox | None
    silent: bool = False

    def named(self, subject_key: bytes) -> Sequence[Certificate]:
        """Give the certificates of a name that vouch (or do not) for the leaf."""
        return [
            anchor.certificate
            for anchor in self.anchors.named(subject_key)
            if bool(anchor.silence(self.leaf, self.mailbox)) is self.silent
        ]

    def accept(self) -> bool:
        """Tell whether the leaf is itself trusted by decision."""
        pinned = self.anchors.pinning(self.leaf)
        if pinned is not None and not pinned.silence(self.leaf, self.mailbox):
            return True
        return self.leaf in self.named(self.leaf.subject_key)

    def why_silent(self, subject_keys: Iterable[bytes]) -> dict[Certificate, str]:
        """Say of anchors with one of these names why they do not speak for the leaf."""
        return {
            anchor.certificate: reason
            for subject_key in subject_keys
            for anchor in self.anchors.named(subject_key)
            if (reason := anchor.silence(self.leaf, self.mailbox))
        }
