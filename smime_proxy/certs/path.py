"""Whether a certificate leads to a trust anchor, and if not, why: one fact, no exception.

RFC 5280 6 (path validation), RFC 8550 4 (S/MIME), RFC 5280 6.1.1 (d) (trust anchors).
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import assert_never

from smime_proxy.address import AddressError, Mailbox, fold_domain
from smime_proxy.certs.building import MAX_POOL, PathSearch
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.processing import process, window
from smime_proxy.certs.profile import MAIL, Profile

MAX_PATHS_JUDGED = 8  # cross-certified authorities have two or three ways up


class ChainStatus(enum.Enum):
    """The fact about a chain, in the words of `inspect`."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Purpose(enum.Enum):
    """What the end entity's key is to be used for (RFC 8550 4.4.2)."""

    SIGN = "sign"
    ENCRYPT = "encrypt"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A certificate trusted by decision; with `domains` only for addresses exactly there.

    `unless` are domains it does not speak for, `distrust_after` is when it lost trust for what it
    issues from then on, `revoked` are fingerprints of what it took back and we know without a list.
    A `pinned` one is a person's, trusted as itself and never as an issuer.
    Domains are folded for comparison; raises `CertificateError` for what is no domain.
    """

    certificate: Certificate
    domains: tuple[str, ...] = ()
    pinned: bool = False
    unless: tuple[str, ...] = ()
    distrust_after: datetime | None = None
    revoked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("domains", "unless"):
            try:
                folded = tuple(fold_domain(domain) for domain in getattr(self, name))
            except AddressError as error:
                raise CertificateError(f"not a domain to vouch for: {error}") from error
            object.__setattr__(self, name, folded)

    def silence(self, leaf: Certificate, mailbox: Mailbox | None) -> str:
        """Say why the anchor does not speak for this certificate, ``""`` when it does.

        With a mailbox, that one must be in the certificate and in a domain; without, all of the
        certificate's mailboxes must be, and there must be one. None of them may be excepted.
        """
        if self.pinned:
            return "" if leaf == self.certificate else "pinned, so it vouches for nobody else"
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


@dataclass(frozen=True, slots=True)
class PathResult:
    """The fact, the way it rests on (leaf first, anchor last), and why not in one line.

    `policies` are the certificate policies that hold for all of a trusted way (dotted OIDs).
    """

    status: ChainStatus
    path: tuple[Certificate, ...]
    reason: str = ""
    policies: frozenset[str] = frozenset()


def validate(
    leaf: Certificate,
    pool: Sequence[Certificate],
    anchors: Sequence[Anchor],
    at: datetime,
    *,
    mailbox: Mailbox | None = None,
    purpose: Purpose,
    profile: Profile = MAIL,
) -> PathResult:
    """Find and judge ways from `leaf` over `pool` to an anchor, at a time, aware UTC.

    EXPIRED and NOT_YET_VALID mean that everything but the dates is good. An anchor that is the
    leaf itself pins it. The pool may be hostile: work is bounded. Addresses are not compared
    beyond the domains of anchors. Never raises, never fetches (RFC 5280 6.1).
    """
    if profile.for_mail and not _fits(leaf, purpose):
        reason = f"the certificate may not be used to {purpose.value} mail"
        return PathResult(ChainStatus.UNTRUSTED, (leaf,), reason)
    revoked = frozenset[str]().union(*(anchor.revoked for anchor in anchors))
    if leaf.fingerprint in revoked:
        reason = "revoked by the authority that issued it"
        return PathResult(ChainStatus.REVOKED, (leaf,), reason)
    if revoked:
        pool = [issuer for issuer in pool if issuer.fingerprint not in revoked]
    vouching = [a.certificate for a in anchors if not a.silence(leaf, mailbox)]
    if leaf in vouching:
        return _dated((leaf,), at)
    search = PathSearch(vouching, profile)
    best = PathResult(ChainStatus.UNTRUSTED, (leaf,))
    for path in islice(search.paths(leaf, pool), MAX_PATHS_JUDGED):
        result = _judged(path, at, profile)
        if result.status is ChainStatus.TRUSTED:
            return result
        if _PREFERENCE[result.status] > _PREFERENCE[best.status] or not best.reason:
            best = result
    if best.reason:
        return best
    silent = _silent_anchor(leaf, pool, anchors, mailbox)
    reason = silent or _obstacle(leaf, search.obstacles)
    return PathResult(ChainStatus.UNTRUSTED, (leaf,), reason)


# Among failures the one that is nearest to trust says most.
_PREFERENCE = {
    ChainStatus.UNKNOWN: 0,
    ChainStatus.UNTRUSTED: 0,
    ChainStatus.REVOKED: 0,
    ChainStatus.NOT_YET_VALID: 1,
    ChainStatus.EXPIRED: 2,
    ChainStatus.TRUSTED: 3,
}


def _silent_anchor(
    leaf: Certificate,
    pool: Sequence[Certificate],
    anchors: Sequence[Anchor],
    mailbox: Mailbox | None,
) -> str:
    """Say which anchor a way leads to that does not speak for the leaf, and why, or ``""``."""
    named = {leaf.issuer_key, *(issuer.issuer_key for issuer in islice(pool, MAX_POOL))}
    silent = {
        anchor.certificate: reason
        for anchor in anchors
        if not anchor.pinned
        and anchor.certificate.subject_key in named
        and (reason := anchor.silence(leaf, mailbox))
    }
    if not silent:  # nearly always, so that nobody's search is done twice
        return ""
    path = next(PathSearch(tuple(silent)).paths(leaf, pool), None)
    return f"{path[-1].subject}: {silent[path[-1]]}" if path else ""


def _fits(leaf: Certificate, purpose: Purpose) -> bool:
    match purpose:
        case Purpose.SIGN:
            return leaf.may_sign
        case Purpose.ENCRYPT:
            return leaf.may_encrypt
        case _:
            assert_never(purpose)


def _judged(path: tuple[Certificate, ...], at: datetime, profile: Profile) -> PathResult:
    processed = process(path, profile)
    if processed.objection:
        return PathResult(ChainStatus.UNTRUSTED, path, processed.objection)
    dated = _dated(path, at)
    if dated.status is not ChainStatus.TRUSTED:
        return dated
    return replace(dated, policies=processed.policies)


def _dated(path: tuple[Certificate, ...], at: datetime) -> PathResult:
    start, end = window(path)
    if start <= at <= end:
        return PathResult(ChainStatus.TRUSTED, path)
    for certificate in path:  # the leaf's own dates say most
        match certificate.valid_at(at):
            case Validity.EXPIRED:
                reason = f"{certificate.subject}: expired on {certificate.not_after:%Y-%m-%d}"
                return PathResult(ChainStatus.EXPIRED, path, reason)
            case Validity.NOT_YET_VALID:
                reason = f"{certificate.subject}: valid from {certificate.not_before:%Y-%m-%d}"
                return PathResult(ChainStatus.NOT_YET_VALID, path, reason)
            case Validity.VALID:
                pass
    raise AssertionError("a time outside the window is outside the dates of a certificate")


def _obstacle(leaf: Certificate, obstacles: Sequence[str]) -> str:
    if leaf.is_self_signed:
        return "a self-signed certificate that is not trusted"
    # The last one is from the way that got furthest most often; all would fill a page.
    return obstacles[-1] if obstacles else "no way to a trusted issuer"
