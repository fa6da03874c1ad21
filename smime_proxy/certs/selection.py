"""Which certificate signs, which one mail is encrypted to, and why not the others.

RFC 8550 3 and 4.4 (fitness), RFC 8551 2.2 and 2.3 (kinds of keys); of the best source the newest
notBefore wins.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor, Anchors
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.certs.keys import USABLE_CURVES
from smime_proxy.certs.path import ChainStatus, PathResult, Purpose, revoked, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.source import MinimumSource, Source

_ONLY_SIGN = frozenset({"ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87"})
SIGNING_KINDS = USABLE_CURVES | _ONLY_SIGN | {"rsa"}
_NOBODY = Issuers()


class Holder(Protocol):
    """Anything that has a certificate with what links it to its root."""

    @property
    def certificate(self) -> Certificate:
        """Give the certificate that is chosen or not."""


class KeyEntry(Holder, Protocol):
    """A private key of ours, seen by its certificate; a former one only decrypts."""

    @property
    def former(self) -> bool:
        """Tell whether it was retired, replaced or came in unfit."""

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """Give what links the certificate to its root."""


@dataclass(frozen=True, slots=True)
class PartnerCertificate:
    """A certificate mail may be encrypted to.

    `pinned` was trusted itself (`--trust`); `bound_to` are mailboxes it was imported for by name,
    whatever it says itself, and `domains` those for all mailboxes of which it was (RFC 3183 3).
    `source` is who gave it to us; `known` are all authorities that may complete its chain.
    """

    certificate: Certificate
    chain: tuple[Certificate, ...] = ()
    pinned: bool = False
    bound_to: tuple[Mailbox, ...] = ()
    source: Source = Source.MANUAL
    domains: tuple[str, ...] = ()
    known: Issuers = field(default=_NOBODY, compare=False, repr=False)

    def serves(self, mailbox: Mailbox) -> bool:
        """Tell whether it is for this mailbox, by its own words or by decision."""
        return self.is_personal(mailbox) or mailbox.domain in self.domains

    def is_personal(self, mailbox: Mailbox) -> bool:
        """Tell whether it is for this very mailbox and not only for its domain."""
        return self.certificate.carries(mailbox) or mailbox in self.bound_to


HolderT = TypeVar("HolderT", bound=Holder)
KeyEntryT = TypeVar("KeyEntryT", bound=KeyEntry)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A certificate that was not taken, and why, in one line; `near`: only for dates or trust."""

    certificate: Certificate
    reason: str
    near: bool = False


@dataclass(frozen=True, slots=True)
class Choice(Generic[HolderT]):
    """What was chosen, or None, and why each of the others was not.

    `waits`: nothing was chosen because it cannot be told now whether one was revoked.
    """

    chosen: HolderT | None
    passed_over: tuple[PassedOver, ...] = ()
    waits: bool = False

    @property
    def why_none(self) -> str:
        """Give the reason of the nearest miss, ``""`` when something was chosen.

        What lacks only dates or trust is nearer than what is for something else.
        """
        if self.chosen is not None:
            return ""
        nearest = (*(miss for miss in self.passed_over if miss.near), *self.passed_over)
        return nearest[0].reason if nearest else "no certificate"


def choose_signing(
    entries: Iterable[KeyEntryT],
    mailbox: Mailbox,
    at: datetime,
    revocation: Revocation | None = None,
    *,
    anchors: Collection[Anchor] = (),
    known: Issuers = _NOBODY,
) -> Choice[KeyEntryT]:
    """Choose the key that signs for a mailbox at a time, aware UTC.

    Its certificate carries exactly that mailbox, is in its dates, not known to be revoked, fit and
    strong enough to sign, and not former; trust in its chain is not asked. `anchors` and `known`
    are where its issuer is found when it came without.
    """

    def objection(entry: KeyEntryT) -> str:
        certificate = entry.certificate
        if not certificate.carries(mailbox):
            return f"does not carry {mailbox}"
        unfit = _signing_objection(certificate) or _date_objection(certificate, at)
        return unfit or ("a former key, which only decrypts" if entry.former else "")

    def distrust(entry: KeyEntryT) -> str:
        pool = Pool.of(entry.chain, known)
        return revoked(entry.certificate, pool, anchors, at, revocation)

    return _choose(entries, at, objection, distrust, lambda _entry: 0)


def choose_recipient(
    candidates: Iterable[PartnerCertificate],
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    minimum: MinimumSource = MinimumSource.HARVESTED,
    revocation: Revocation | None = None,
) -> Choice[PartnerCertificate]:
    """Choose the certificate to encrypt to for a mailbox at a time, aware UTC.

    It is for that mailbox, in its dates, not known to be revoked, fit and strong enough to encrypt
    to, and pinned or of a trusted chain; only DISCOVERED ones, where `minimum` lets them in, have
    nothing to vouch for them. One of a lesser source is taken only when no better source has a
    usable one. Chains are validated best and newest first, and only until one is good.
    """

    def objection(candidate: PartnerCertificate) -> str:
        certificate = candidate.certificate
        if not candidate.serves(mailbox):
            return f"does not carry {mailbox}"
        unfit = unfit_to_encrypt(certificate, at)
        return unfit or source_objection(candidate.source, minimum)

    waiting: list[PartnerCertificate] = []

    def distrust(candidate: PartnerCertificate) -> str:
        result = trust_in(candidate, mailbox, at, anchors, revocation)
        if result.status is ChainStatus.TRUSTED:
            return ""
        if result.status is ChainStatus.UNKNOWN:
            waiting.append(candidate)
        return f"its chain is {result.status.value}: {result.reason}"

    choice = _choose(candidates, at, objection, distrust, lambda candidate: candidate.source.rank)
    return replace(choice, waits=choice.chosen is None and bool(waiting))


def unfit_to_encrypt(certificate: Certificate, at: datetime) -> str:
    """Say why mail cannot be encrypted to a certificate, whoever trusts it; "" when it can."""
    return encryption_objection(certificate) or _date_objection(certificate, at)


def newest_first(holders: Iterable[HolderT]) -> list[HolderT]:
    """Order certificates as they are chosen from: by notBefore, then by how long they last."""
    return sorted(holders, key=_age_rank, reverse=True)


def encryption_objection(certificate: Certificate) -> str:
    """Say why mail is not encrypted to a certificate whatever the time and its chain, or ``""``."""
    if certificate.key_type in _ONLY_SIGN:
        return f"a key of type {certificate.key_type} cannot encrypt"
    if not certificate.may_encrypt:
        return "its key usage does not allow encrypting mail"
    if certificate.curve and certificate.curve not in USABLE_CURVES:
        return f"mail is not encrypted to keys on {certificate.curve}"
    return certificate.weak_key


def trust_in(
    candidate: PartnerCertificate,
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    revocation: Revocation | None = None,
) -> PathResult:
    """Judge the chain of a certificate that serves a mailbox, at a time, aware UTC.

    A pinned one is trusted as it is, unless it is known to be revoked; its dates are not asked.
    Of anchors that vouch for some domains only, one that vouches for the mailbox's vouches for the
    certificate of that domain too, if it does for all addresses this carries, and there is one.
    """
    certificate = candidate.certificate
    pool = Pool.of(candidate.chain, candidate.known)
    # An administrator who lets in what a directory gives unproven asks for no proof.
    if candidate.pinned or candidate.source is Source.DISCOVERED:
        reason = revoked(certificate, pool, anchors, at, revocation)
        status = ChainStatus.REVOKED if reason else ChainStatus.TRUSTED
        return PathResult(status, (certificate,), reason)
    carried: Mailbox | None = mailbox
    if not candidate.is_personal(mailbox):
        carried = None
        anchors = Anchors.of(anchors).speaking_for(mailbox.domain)
    return validate(
        certificate,
        pool,
        anchors,
        at,
        mailbox=carried,
        purpose=Purpose.ENCRYPT,
        revocation=revocation,
    )


def _choose(
    holders: Iterable[HolderT],
    at: datetime,
    objection: Callable[[HolderT], str],
    distrust: Callable[[HolderT], str],
    rank: Callable[[HolderT], int],
) -> Choice[HolderT]:
    chosen: HolderT | None = None
    passed_over = []
    for holder in sorted(holders, key=lambda one: (rank(one), _age_rank(one)), reverse=True):
        reason = objection(holder)
        near = reason in {"", _date_objection(holder.certificate, at)}
        if not reason and chosen is not None:
            older = rank(chosen) == rank(holder)
            reason = ("older than" if older else "of a lesser source than") + _named(chosen)
        elif not reason:
            # Trust costs signature checks, so it is asked only until one has it.
            reason = distrust(holder)
        if not reason:
            chosen = holder
        else:
            passed_over.append(PassedOver(holder.certificate, reason, near))
    return Choice(chosen, tuple(passed_over))


def _age_rank(holder: Holder) -> tuple[datetime, datetime, str]:
    certificate = holder.certificate
    return certificate.not_before, certificate.not_after, certificate.fingerprint


def _named(holder: Holder) -> str:
    return f" serial {holder.certificate.serial:x}"


def source_objection(source: Source, minimum: MinimumSource) -> str:
    """Say why a source is not good enough, or ``""``."""
    if minimum.admits(source):
        return ""
    return f"{source.value}, and minimum_source is {minimum.value}"


def _date_objection(certificate: Certificate, at: datetime) -> str:
    match certificate.valid_at(at):
        case Validity.EXPIRED:
            return f"expired on {certificate.not_after:%Y-%m-%d}"
        case Validity.NOT_YET_VALID:
            return f"valid only from {certificate.not_before:%Y-%m-%d}"
        case Validity.VALID:
            return ""


def _signing_objection(certificate: Certificate) -> str:
    if not certificate.may_sign:
        return "its key usage does not allow signing mail"
    kind = certificate.curve or certificate.key_type
    if kind not in SIGNING_KINDS:
        return f"a key of type {kind} cannot sign"
    return certificate.weak_key
