"""What found certificates are worth: by our anchors, by the DNS, or by nothing.

RFC 5280 6 (chains), RFC 6698 2.1.1 and RFC 7671 5 (usages of records), RFC 8162 2.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.association import Association, Usage
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, PathResult, Purpose, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source

MAX_JUDGED = 16  # certificates of one mailbox; each may cost a path, and people have few


@dataclass(frozen=True, slots=True)
class Trust:
    """What chains are judged by: anchors, further issuers to complete them, a time, aware UTC."""

    anchors: Collection[Anchor]
    intermediates: Issuers
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
    given = set(found)
    judgement = []
    for certificate in every:
        vouched = _vouched_for(certificate, associations, every, mailbox, trust)
        if vouched is not None:
            judgement.append(vouched)
        elif certificate in given and certificate.carries(mailbox):
            path = _path(certificate, every, trust.anchors, mailbox, trust)
            trusted = path.status is ChainStatus.TRUSTED
            source = Source.DIRECTORY if trusted else Source.DISCOVERED
            judgement.append(PartnerCertificate(certificate, every, source=source))
    return tuple(replace(one, known=trust.intermediates) for one in judgement)


def _vouched_for(
    certificate: Certificate,
    associations: Sequence[Association],
    every: tuple[Certificate, ...],
    mailbox: Mailbox,
    trust: Trust,
) -> PartnerCertificate | None:
    """Give the certificate if a record vouches for it; the usages that need least come first."""
    for record in sorted(associations, key=lambda one: one.usage, reverse=True):
        match record.usage:
            case Usage.DANE_EE if record.means(certificate):
                # RFC 7671 5.1: the name of the record is the binding, not those in the certificate.
                return PartnerCertificate(
                    certificate, every, pinned=True, bound_to=(mailbox,), source=Source.SMIMEA
                )
            case Usage.DANE_TA if certificate.carries(mailbox):
                known = (*every, *trust.intermediates)
                anchors = [Anchor(one) for one in known if record.means(one) and one.may_issue]
                if _leads(certificate, every, anchors, mailbox, trust):
                    return PartnerCertificate(certificate, every, pinned=True, source=Source.SMIMEA)
            case Usage.PKIX_EE if record.means(certificate) and certificate.carries(mailbox):
                if _leads(certificate, every, trust.anchors, mailbox, trust):
                    return PartnerCertificate(certificate, every, source=Source.SMIMEA)
            case Usage.PKIX_TA if certificate.carries(mailbox):
                path = _path(certificate, every, trust.anchors, mailbox, trust)
                trusted = path.status is ChainStatus.TRUSTED
                if trusted and any(record.means(one) for one in path.path[1:]):
                    return PartnerCertificate(certificate, every, source=Source.SMIMEA)
            case _:
                pass
    return None


def _leads(
    certificate: Certificate,
    every: tuple[Certificate, ...],
    anchors: Collection[Anchor],
    mailbox: Mailbox,
    trust: Trust,
) -> bool:
    if not anchors:
        return False
    return _path(certificate, every, anchors, mailbox, trust).status is ChainStatus.TRUSTED


def _path(
    certificate: Certificate,
    every: tuple[Certificate, ...],
    anchors: Collection[Anchor],
    mailbox: Mailbox,
    trust: Trust,
) -> PathResult:
    pool = Pool.of(every, trust.intermediates)
    return validate(certificate, pool, anchors, trust.at, mailbox=mailbox, purpose=Purpose.ENCRYPT)
