"""Whether mail to somebody could be encrypted once and no longer can be, and since when.

RFC 5280 4.1.2.5 (the dates of a certificate) and 3.3 (revocation).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.certs.path import ChainStatus
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.selection import (
    PartnerCertificate,
    encryption_objection,
    newest_first,
    trust_in,
)
from smime_proxy.certs.source import MinimumSource

MAX_LOOKED_AT = 8  # candidates, newest first; each may cost a path, and people have few


@dataclass(frozen=True, slots=True)
class Lapse:
    """A certificate that could be encrypted to until something happened, said in one line."""

    certificate: Certificate
    reason: str


def find_lapse(
    candidates: Iterable[PartnerCertificate],
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    minimum: MinimumSource = MinimumSource.HARVESTED,
    revocation: Revocation | None = None,
) -> Lapse | None:
    """Find the newest certificate that a mailbox had and that ended before a time, aware UTC.

    It served the mailbox, was fit and strong enough to encrypt to, and pinned or of a chain that
    is good but for its dates or a revocation. What `minimum` does not let in never was usable. To
    be asked where none is.
    """
    served = [
        one
        for one in newest_first(candidates)
        if one.serves(mailbox) and minimum.admits(one.source)
    ]
    for candidate in served[:MAX_LOOKED_AT]:
        reason = _ended(candidate, mailbox, at, anchors, revocation)
        if reason:
            return Lapse(candidate.certificate, f"{_whose(candidate, mailbox)} {reason}")
    return None


def _ended(
    candidate: PartnerCertificate,
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    revocation: Revocation | None,
) -> str:
    """Say how a certificate ended; "" for one that never was usable, or may be some day."""
    certificate = candidate.certificate
    if encryption_objection(certificate):
        return ""
    has_expired = certificate.valid_at(at) is Validity.EXPIRED
    expired = f"expired on {certificate.not_after:%Y-%m-%d}"
    result = trust_in(candidate, mailbox, at, anchors, revocation)
    if has_expired and result.status is ChainStatus.TRUSTED:  # pinned: its dates were not asked
        return expired
    if result.status is ChainStatus.EXPIRED:
        return expired if has_expired else f"lost its chain: {result.reason}"
    if result.status is ChainStatus.REVOKED:
        return f"is no longer valid: {result.reason}"
    return ""


def _whose(candidate: PartnerCertificate, mailbox: Mailbox) -> str:
    if candidate.is_personal(mailbox):
        return "its certificate"
    return f"the certificate of {mailbox.domain}"
