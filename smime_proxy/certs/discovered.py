"""What found certificates are worth: by our anchors, by the DNS, or by nothing.

RFC 5280 6 (chains), RFC 6698 2.1.1 and RFC 7671 5 (usages of records), RFC 8162 2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.association import Association, Usage
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import Anchor, ChainStatus, PathResult, Purpose, validate
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source

MAX_JUDGED = 16  # certificates of one mailbox; each may cost a path, and people have few


@dataclass(frozen=True, slots=True)
class Trust:
    """What chains are judged by: anchors, further issuers to complete them, a time, aware UTC."""

    anchors: Sequence[Anchor]
    intermediates: Sequence[Certificate]
    at: datetime


def judged(
    found: Sequence[Certificate],
    associations: Sequence[Association],
    known: Iterable[Certificate],
    mailbox: Mailbox,
    trust: Trust,
) -> tuple[PartnerCertificate, ...]:
    """Give the certificates of a mailbox that were found, each with the source it is worth.

    `found` are those a directory gave, `associations` the records of DNSSEC-validated answers,
    `known` what else we know of the mailbox, which records may vouch for. A certificate is
    SMIMEA when a record vouches for it, DIRECTORY when a chain does, DISCOVERED else. Those of
    authorities and of other mailboxes only complete chains.
    """
    held = [one for one in (record.certificate() for record in associations) if one is not None]
    every = tuple(dict.fromkeys((*found, *held, *known)))[:MAX_JUDGED]
    pool = (*every, *trust.intermediates)
    given = set(found)
    judgement = []
    for certificate in every:
        vouched = _vouched_for(certificate, associations, pool, mailbox, trust)
        if vouched is not None:
            judgement.append(vouched)
        elif certificate in given and certificate.carries(mailbox):
            path = _path(certificate, pool, trust.anchors, mailbox, trust.at)
            trusted = path.status is ChainStatus.TRUSTED
            source = Source.DIRECTORY if trusted else Source.DISCOVERED
            judgement.append(PartnerCertificate(certificate, pool, source=source))
    return tuple(judgement)


def _vouched_for(
    certificate: Certificate,
    associations: Sequence[Association],
    pool: tuple[Certificate, ...],
    mailbox: Mailbox,
    trust: Trust,
) -> PartnerCertificate | None:
    """Give the certificate if a record vouches for it; the usages that need least come first."""
    for record in sorted(associations, key=lambda one: one.usage, reverse=True):
        match record.usage:
            case Usage.DANE_EE if record.means(certificate):
                # RFC 7671 5.1: the name of the record is the binding, not those in the certificate.
                return PartnerCertificate(
                    certificate, pool, pinned=True, bound_to=(mailbox,), source=Source.SMIMEA
                )
            case Usage.DANE_TA if certificate.carries(mailbox):
                anchors = [Anchor(one) for one in pool if record.means(one) and one.may_issue]
                if _leads(certificate, pool, anchors, mailbox, trust.at):
                    return PartnerCertificate(certificate, pool, pinned=True, source=Source.SMIMEA)
            case Usage.PKIX_EE if record.means(certificate) and certificate.carries(mailbox):
                if _leads(certificate, pool, trust.anchors, mailbox, trust.at):
                    return PartnerCertificate(certificate, pool, source=Source.SMIMEA)
            case Usage.PKIX_TA if certificate.carries(mailbox):
                path = _path(certificate, pool, trust.anchors, mailbox, trust.at)
                trusted = path.status is ChainStatus.TRUSTED
                if trusted and any(record.means(one) for one in path.path[1:]):
                    return PartnerCertificate(certificate, pool, source=Source.SMIMEA)
            case _:
                pass
    return None


def _leads(
    certificate: Certificate,
    pool: tuple[Certificate, ...],
    anchors: Sequence[Anchor],
    mailbox: Mailbox,
    at: datetime,
) -> bool:
    if not anchors:
        return False
    return _path(certificate, pool, anchors, mailbox, at).status is ChainStatus.TRUSTED


def _path(
    certificate: Certificate,
    pool: tuple[Certificate, ...],
    anchors: Sequence[Anchor],
    mailbox: Mailbox,
    at: datetime,
) -> PathResult:
    return validate(certificate, pool, anchors, at, mailbox=mailbox, purpose=Purpose.ENCRYPT)
