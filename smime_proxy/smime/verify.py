"""Judge one signature layer: integrity, chain and identity as three separate facts a signer.

RFC 8551 2.4.2 and 3.5.3, RFC 8550 3 (identity) and 4 (certificates), RFC 3183 3.1 (domain
signatures); verdicts V2-V14.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.validation import Validation, validation_of
from smime_proxy.cms import oids
from smime_proxy.cms.der import Content
from smime_proxy.cms.structures import Identifier, SignedData
from smime_proxy.cms.verify import Integrity, SignerReport, verify
from smime_proxy.smime.domain_signature import DomainSignature, domain_signature
from smime_proxy.smime.gateway_signer import GatewaySigner

MAX_TIME_APART = timedelta(hours=1)  # signing time and Date, E19
MAX_AHEAD = timedelta(minutes=15)  # of our own clock; clients' clocks are no better than that


class Identity(Enum):
    """Whether the signer's certificate speaks for the From mailbox."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Trust:
    """What chains are judged by.

    `known(issuer, serial)` gives stored certificates (DER) for signatures that bring none, E58.
    Without `revocation` nobody's certificate was revoked.
    With `subject_address` an address in the subject counts where the certificate names no other
    (RFC 8550 3: legacy).
    `gateways` are those that sign for everybody of a domain, by domain, folded; `own_of` gives the
    certificates known of an address.
    """

    anchors: Collection[Anchor]
    intermediates: Collection[Certificate]
    known: Callable[[bytes, int], Sequence[bytes]]
    revocation: Revocation | None = None
    gateways: Mapping[str, GatewaySigner] = field(default_factory=dict)
    own_of: Callable[[Mailbox], Sequence[Certificate]] = lambda _mailbox: ()
    subject_address: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature is held against: the one clean From mailbox and the Date, where they are."""

    mailbox: Mailbox | None
    date: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """One signature judged; `reasons` says in short lines what keeps it from `pass`, if anything.

    `certificate` is None when it is nowhere to be had; `mailbox` is the From mailbox when the
    certificate carries it. `validation` is what a trusted chain says of who he is. `gateway` is the
    address of the partner's gateway when that signed in place of the person and its word counts:
    then certificate, capabilities and everything else said in the signature are the gateway's and
    nothing may be learned of the person. `brought` are the certificates that came with the
    signature, of whomever they are.
    """

    report: SignerReport
    certificate: Certificate | None
    chain: ChainStatus
    identity: Identity
    reasons: tuple[str, ...]
    mailbox: Mailbox | None = None
    validation: Validation = Validation.UNKNOWN
    gateway: Mailbox | None = None
    brought: tuple[Certificate, ...] = field(default=(), repr=False)

    @property
    def via_gateway(self) -> bool:
        """Tell whether it is the signature of the partner's gateway and not of the person."""
        return self.gateway is not None

    @property
    def result(self) -> str:
        """Give the result word of RFC 8601 2.7.1 and RFC 7281 for this signature alone."""
        if self.report.integrity is Integrity.BROKEN or self.chain is ChainStatus.REVOKED:
            return "fail"
        if self.report.integrity is Integrity.UNKNOWN:
            return "permerror" if self.certificate is None else "neutral"
        if self.chain is ChainStatus.UNKNOWN:
            return "temperror"
        return "policy" if self.reasons else "pass"


def judge(
    signed: SignedData,
    contents: Sequence[Content],
    trust: Trust,
    claim: Claim,
    at: datetime,
) -> tuple[Signer, ...]:
    """Judge every signature of one layer at a time, aware UTC.

    `contents` are the candidates for what a detached signature covers, empty for an opaque one.
    Strangers' octets raise nothing.
    """
    extra = [der for signer in signed.signers for der in _stored(signer.sid, trust)]
    reports = verify(signed, contents, extra)
    brought = tuple(_readable(signed.certificates, trust))
    pool = Pool.of(brought, trust.intermediates)
    is_mail = signed.content_type == oids.DATA
    signers = (_judge(report, pool, trust, claim, at, is_mail=is_mail) for report in reports)
    return tuple(replace(signer, brought=brought) for signer in signers)


def _judge(
    report: SignerReport,
    pool: Pool,
    trust: Trust,
    claim: Claim,
    at: datetime,
    *,
    is_mail: bool,
) -> Signer:
    certificate = next(_readable([report.certificate] if report.certificate else [], trust), None)
    if certificate is None:
        reason = report.reason or "the signer's certificate cannot be read"
        return Signer(report, None, ChainStatus.UNKNOWN, Identity.NONE, (reason,))
    mailbox = claim.mailbox if claim.mailbox and certificate.carries(claim.mailbox) else None
    of_domain = domain_signature(certificate, claim.mailbox, trust.gateways, trust.own_of, at)
    named = of_domain.signer.mailbox if of_domain else mailbox
    path = validate(
        certificate,
        pool,
        trust.anchors,
        at,
        mailbox=named,
        purpose=Purpose.SIGN,
        revocation=trust.revocation,
    )
    is_good = report.integrity is Integrity.INTACT and path.status is ChainStatus.TRUSTED
    gateway = named if of_domain and not of_domain.doubt and is_good else None
    identity = Identity.MATCH if gateway else _identity(certificate, claim)
    reasons = (
        report.reason,
        # RFC 8551 2.4.2: what was signed for another protocol is no word to the recipient.
        "" if is_mail else "the signed content is no mail",
        "" if path.status is ChainStatus.TRUSTED else path.reason or path.status.value,
        _identity_reason(identity, claim, of_domain),
        _weakness(report, certificate),
        _time_reason(report.signing_time, claim.date, at),
    )
    told = tuple(filter(None, reasons))
    # How the gateway was identified says nothing of how the person was.
    validation = Validation.UNKNOWN if gateway else validation_of(path.policies)
    status = path.status
    return Signer(report, certificate, status, identity, told, mailbox, validation, gateway)


def _identity(certificate: Certificate, claim: Claim) -> Identity:
    nothing_to_match = claim.mailbox is None and not claim.problem  # a bare CMS object
    if not certificate.mailboxes or nothing_to_match:
        return Identity.NONE
    if claim.mailbox is not None and certificate.carries(claim.mailbox):
        return Identity.MATCH
    return Identity.MISMATCH


def _identity_reason(identity: Identity, claim: Claim, of_domain: DomainSignature | None) -> str:
    match identity:
        case Identity.MATCH:
            return of_domain.remark if of_domain else ""
        case Identity.NONE:
            return "no mailbox to compare"
        case Identity.MISMATCH:
            doubt = of_domain.doubt if of_domain else claim.problem
            return doubt or f"From {claim.mailbox} is not in the certificate"


def _weakness(report: SignerReport, certificate: Certificate) -> str:
    if certificate.weak:
        return f"weak: {certificate.weak}"
    return f"weak: {report.digest} with {report.signature}" if report.weak else ""


def _time_reason(signing_time: datetime | None, date: datetime | None, at: datetime) -> str:
    if signing_time is None or date is None:
        return ""
    if signing_time > at + MAX_AHEAD:
        return "signed in the future"
    return "signing time far from Date" if abs(signing_time - date) > MAX_TIME_APART else ""


def _readable(certificates: Sequence[bytes], trust: Trust) -> Iterator[Certificate]:
    for der in certificates:
        try:
            certificate = Certificate.from_der(der)
        except CertificateError:
            continue  # one bad certificate must not lose the others (M18)
        yield certificate.with_subject_address() if trust.subject_address else certificate


def _stored(sid: Identifier, trust: Trust) -> Sequence[bytes]:
    if sid.issuer is None or sid.serial is None:
        return ()
    return trust.known(sid.issuer, sid.serial)
