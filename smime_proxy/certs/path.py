"""Whether a certificate leads to a trust anchor, and if not, why: one fact, no exception.

RFC 5280 6 (path validation), RFC 8550 4 (S/MIME).
"""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import assert_never

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor, Anchors, Roots, Vouching
from smime_proxy.certs.building import PathSearch
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.certs.pool import ByName, Issuers, Pool
from smime_proxy.certs.processing import process, window
from smime_proxy.certs.profile import MAIL, Profile
from smime_proxy.certs.revocation import Revocation, Standing, Status, standing
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.signature import is_signed_by

MAX_PATHS_JUDGED = 8  # cross-certified authorities have two or three ways up
MAX_OCTETS_JUDGED = (
    500_000  # of the ways together; bounds reading extensions, 8 usual ways have 100 k
)
MAX_VOUCHING = 3  # keys of one authority that sign lists for one another; bounds the asking
MAX_ISSUERS_TRIED = 8  # of one name for a pinned certificate; renewed authorities have two or three


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
    pool: Collection[Certificate] | Pool,
    anchors: Collection[Anchor],
    at: datetime,
    *,
    mailbox: Mailbox | None = None,
    purpose: Purpose,
    profile: Profile = MAIL,
    revocation: Revocation | None = None,
) -> PathResult:
    """Find and judge ways from `leaf` over `pool` to an anchor, at a time, aware UTC.

    EXPIRED and NOT_YET_VALID mean that everything but the dates is good. An anchor that is the
    leaf itself pins it. The pool may be hostile: work is bounded. Addresses are not compared
    beyond the domains of anchors. With `revocation` every certificate below the anchor is held
    against the answers at hand: REVOKED, or UNKNOWN in hard mode, is then no longer TRUSTED. Never
    raises, never fetches (RFC 5280 6.1).
    """
    if profile.for_mail and not _fits(leaf, purpose):
        reason = f"the certificate may not be used to {purpose.value} mail"
        return PathResult(ChainStatus.UNTRUSTED, (leaf,), reason)
    anchors = Anchors.of(anchors)
    if leaf.fingerprint in anchors.revoked:
        reason = "revoked by the authority that issued it"
        return PathResult(ChainStatus.REVOKED, (leaf,), reason)
    pool = Pool.of(pool).without(anchors.revoked)
    vouching = Vouching(anchors, leaf, mailbox)
    check = _Check(revocation, pool, vouching, at, profile)
    if vouching.accept():
        return check.of_pinned(_dated((leaf,), at))
    search = PathSearch(vouching, profile, effort=pool.effort)
    best = PathResult(ChainStatus.UNTRUSTED, (leaf,))
    octets = 0
    for path in islice(search.paths(leaf, pool), MAX_PATHS_JUDGED):
        result = check.of_path(_judged(path, at, profile))
        if result.status is ChainStatus.TRUSTED:
            return result
        if _PREFERENCE[result.status] > _PREFERENCE[best.status] or not best.reason:
            best = result
        octets += sum(len(certificate.der) for certificate in path)
        if octets > MAX_OCTETS_JUDGED:
            break
    if best.reason:
        return best
    reason = _silence(vouching, search.asked, pool) or _obstacle(leaf, search.obstacles)
    return PathResult(ChainStatus.UNTRUSTED, (leaf,), reason)


def revoked(
    leaf: Certificate,
    pool: Collection[Certificate] | Pool,
    anchors: Collection[Anchor],
    at: datetime,
    revocation: Revocation | None,
) -> str:
    """Say in one line that a certificate was revoked, ``""`` when nothing at hand says so.

    For certificates whose chain nobody asks for: our own, and pinned ones.
    """
    check = _Check(revocation, Pool.of(pool), Roots(Anchors.of(anchors)), at, MAIL)
    result = check.of_pinned(PathResult(ChainStatus.TRUSTED, (leaf,)))
    return result.reason if result.status is ChainStatus.REVOKED else ""


# Among failures the one that is nearest to trust says most.
_PREFERENCE = {
    ChainStatus.UNTRUSTED: 0,
    ChainStatus.NOT_YET_VALID: 1,
    ChainStatus.EXPIRED: 2,
    ChainStatus.UNKNOWN: 3,
    ChainStatus.REVOKED: 4,
    ChainStatus.TRUSTED: 5,
}


@dataclass(frozen=True, slots=True)
class _Check:
    """Holds ways that are good otherwise against what is known of revocations."""

    revocation: Revocation | None
    pool: Pool
    anchors: ByName
    at: datetime
    profile: Profile

    def of_path(self, result: PathResult) -> PathResult:
        """Check every certificate of a way below its anchor, the anchor's own first.

        RFC 5280 6.3.3 (f): whoever signs a list in the issuer's place is below the same anchor.
        What another one vouches for may have the name of any authority.
        """
        if self.revocation is None:
            return result
        path = result.path
        pairs = [(path[n], path[n + 1]) for n in range(len(path) - 2, -1, -1)]
        below = replace(self, anchors=Issuers.of(path[-1:]))
        return below._checked(result, pairs)  # noqa: SLF001 - its own

    def of_pinned(self, result: PathResult) -> PathResult:
        """Check a pinned certificate where its issuer is known; who it is does not matter."""
        if self.revocation is None:
            return result
        leaf = result.path[0]
        named = islice(self._named(leaf.issuer_key), MAX_ISSUERS_TRIED)
        issuer = next((one for one in named if is_signed_by(leaf, one)), None)
        if issuer is None:
            return result
        checked = self._checked(result, [(leaf, issuer)])
        # Whoever pinned it decided without asking anybody.
        return result if checked.status is ChainStatus.UNKNOWN else checked

    def _checked(
        self, result: PathResult, pairs: Sequence[tuple[Certificate, Certificate]]
    ) -> PathResult:
        revocation = self.revocation
        judged = result.status in {ChainStatus.TRUSTED, ChainStatus.EXPIRED}
        if revocation is None or revocation.mode is Mode.OFF or not judged:
            return result
        unknown = ""  # the first; the others are asked for all the same, so that one wait does
        for certificate, issuer in pairs:
            told = self._standing(certificate, issuer, ())
            if told.status is Status.REVOKED:
                return PathResult(ChainStatus.REVOKED, result.path, told.reason)
            if told.status is Status.UNKNOWN:
                unknown = unknown or f"{certificate.subject}: {told.reason}"
                if len(result.path) > 1:
                    revocation.want(certificate, issuer)
        if unknown and revocation.mode is Mode.HARD:
            return PathResult(ChainStatus.UNKNOWN, result.path, unknown)
        return result

    def _standing(
        self, certificate: Certificate, issuer: Certificate, asked: tuple[Certificate, ...]
    ) -> Standing:
        assert self.revocation is not None  # noqa: S101 - nobody asks without
        return standing(
            certificate,
            issuer,
            self.revocation.answers,
            self.at,
            signers=self._named,
            vouch=lambda signer: self._vouch(signer, asked),
            unsafe_weak=self.profile.unsafe_weak,
        )

    def _vouch(self, signer: Certificate, asked: tuple[Certificate, ...]) -> str:
        """Say why another than the issuer may not sign its list: no way, or itself revoked.

        RFC 5280 6.3.3 (f). Whoever signs the list that says so of the signer is asked likewise,
        but for those who are being asked: an authority may point to a list that its signer's own
        certificate is on.
        """
        if signer in asked or signer in self.anchors.named(signer.subject_key):
            return ""
        if len(asked) == MAX_VOUCHING:
            return "too many sign for one another"
        profile = replace(self.profile, for_mail=False)
        search = PathSearch(self.anchors, profile, effort=self.pool.effort)
        for path in islice(search.paths(signer, self.pool), MAX_PATHS_JUDGED):
            if _judged(path, self.at, profile).status is not ChainStatus.TRUSTED:
                continue
            told = self._standing(signer, path[1], (*asked, signer))
            if told.status is Status.REVOKED:
                return told.reason
            if told.status is Status.UNKNOWN and self._is_hard:
                return told.reason
            return ""
        return "no trusted way leads to it"

    def _named(self, subject_key: bytes) -> Sequence[Certificate]:
        return (*self.anchors.named(subject_key), *self.pool.named(subject_key))

    @property
    def _is_hard(self) -> bool:
        return self.revocation is not None and self.revocation.mode is Mode.HARD


def _silence(vouching: Vouching, asked: Collection[bytes], pool: Pool) -> str:
    """Say which anchor a way leads to that does not speak for the leaf, and why, or ``""``."""
    pinned = vouching.anchors.pinning(vouching.leaf)
    if pinned is not None:
        return pinned.silence(vouching.leaf, vouching.mailbox)
    silent = vouching.why_silent(asked)
    if not silent:  # nearly always, so that nobody's search is done twice
        return ""
    path = next(PathSearch(Issuers.of(silent), effort=pool.effort).paths(vouching.leaf, pool), None)
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
