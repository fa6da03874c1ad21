"""Whether a new certificate of somebody known rests on the same trust as those before it.

RFC 5280 6.1.1 (d): trust comes from anchors, which an administrator chose; so their names count,
and never those of authorities below them.
"""

import enum
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from cryptography import x509

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor, Anchors
from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate
from smime_proxy.certs.path import ChainStatus
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.selection import PartnerCertificate, trust_in
from smime_proxy.certs.source import Source


class Succession(enum.Enum):
    """How a new certificate of an address stands to those that are known."""

    FIRST = "first"
    SAME_TRUST = "same trust"
    OTHER_TRUST = "other trust"


def succession(
    known: Iterable[PartnerCertificate],
    anchor: Certificate | None,
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    pool: Collection[Certificate] | Pool,
) -> Succession:
    """Compare a certificate that leads to `anchor` (None: to none) with those known of a mailbox.

    Those count that are pinned or lead to an anchor, expired and revoked ones too: who comes back
    after a lapse or a loss is no stranger, and nobody else becomes the first by it. A pinned one
    vouches for nothing but itself, and one for the whole domain for no mailbox there: a key that
    agrees with it is the first all the same, one that does not is of other trust. `pool` are
    issuers that complete chains. The trust is the same where the anchor is, or where both anchors
    are of one organisation.
    """
    found = Succession.FIRST
    for candidate in known:
        if not candidate.serves(mailbox):
            continue
        other = _anchor_of(candidate, mailbox, at, anchors, pool)
        if other is not None and anchor is not None and _are_of_one(anchor, other):
            if candidate.is_personal(mailbox):
                return Succession.SAME_TRUST
            continue
        if other is not None or candidate.pinned:
            found = Succession.OTHER_TRUST
    return found


def _anchor_of(
    candidate: PartnerCertificate,
    mailbox: Mailbox,
    at: datetime,
    anchors: Collection[Anchor],
    pool: Collection[Certificate] | Pool,
) -> Certificate | None:
    if candidate.pinned or candidate.source is Source.DISCOVERED:
        return None
    pool = Pool.of(pool)
    known = replace(candidate, chain=(*candidate.chain, *pool.brought), known=pool.known)
    result = trust_in(known, mailbox, at, Anchors.of(anchors).forgiving())
    trusted = result.status in {ChainStatus.TRUSTED, ChainStatus.EXPIRED}
    return result.path[-1] if trusted else None


def _are_of_one(one: Certificate, other: Certificate) -> bool:
    if one == other:
        return True
    organisation = _organisation(one)
    return bool(organisation) and organisation == _organisation(other)


def _organisation(anchor: Certificate) -> tuple[str, ...]:
    """Give country and organisation of an anchor, folded; nothing without an organisation."""
    try:
        subject = anchor.x509().subject
        named = subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
        countries = subject.get_attributes_for_oid(x509.NameOID.COUNTRY_NAME)
    except LIBRARY_ERRORS:
        return ()
    if not named:
        return ()
    return tuple(" ".join(str(a.value).casefold().split()) for a in (*countries, *named))
