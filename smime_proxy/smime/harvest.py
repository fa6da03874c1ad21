"""Which certificate a verified signature offers for mail to its sender, if any.

RFC 8551 2.5.3 (encryption key preference) and 2.5.3.1 (choice of a key); E06, E64, A13, V2, V10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.selection import unfit_to_encrypt
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.identifier import Identifier
from smime_proxy.smime.classify import ENCRYPTED
from smime_proxy.smime.report import PASSED, Report
from smime_proxy.smime.verify import Signer, Trust

MAX_KEPT_OCTETS = 32_768  # of a certificate; a post-quantum one has about 20,000, others 2,000
MAX_NAMED = 2  # certificates looked at that answer to one name; each may cost 64 signatures
MAX_CHAIN_OCTETS = 65_536  # of its issuers together; what strangers send is kept by the thousand


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """A certificate fit to encrypt to, and the From mailbox it carries.

    `issuers` lie on the validated path between it and `anchor`; without an anchor it is untrusted,
    and nothing is known of it but that its holder signed the mail.
    """

    mailbox: Mailbox
    certificate: Certificate
    issuers: tuple[Certificate, ...] = ()
    anchor: Certificate | None = None


def offered_key(report: Report, trust: Trust, at: datetime) -> OfferedKey | None:
    """Give what the sender's signature offers, None for nothing; pure, raises nothing.

    Only a signature that passes in everything offers a key: the signer's own, or the one of the
    same mailbox that he names (signed) and that is trusted by itself. One that would pass but for
    an untrusted chain offers its signer's own as untrusted. What else lies in the message is
    nobody's key.
    """
    signer = report.signer
    if signer is None or signer.mailbox is None or signer.certificate is None:
        return None
    if report.signature == PASSED:
        return _trusted(signer, signer.mailbox, trust, at)
    if not _is_merely_untrusted(report, signer):
        return None
    certificate = signer.certificate
    if not _is_fit(certificate, signer.mailbox, at) or _names_another(signer):
        return None
    return OfferedKey(signer.mailbox, certificate)


def _trusted(signer: Signer, mailbox: Mailbox, trust: Trust, at: datetime) -> OfferedKey | None:
    pool = Pool.of(signer.brought, trust.intermediates)
    for certificate in _candidates(signer):
        if not _is_fit(certificate, mailbox, at):
            continue
        result = validate(
            certificate,
            pool,
            trust.anchors,
            at,
            mailbox=mailbox,
            purpose=Purpose.ENCRYPT,
            revocation=trust.revocation,
        )
        issuers = result.path[1:-1]
        if result.status is not ChainStatus.TRUSTED or _octets(issuers) > MAX_CHAIN_OCTETS:
            continue
        # One that is trusted as itself was so for other addresses: here nothing vouches for it.
        anchor = result.path[-1] if len(result.path) > 1 else None
        return OfferedKey(mailbox, certificate, issuers, anchor)
    return None


def _is_merely_untrusted(report: Report, signer: Signer) -> bool:
    """Tell whether the chain is all that keeps the one signature below ciphertexts from `pass`."""
    whole = [layer for layer in report.layers if not layer.partial]
    sealed = max((n for n, layer in enumerate(whole) if layer.protection in ENCRYPTED), default=-1)
    inner = whole[sealed + 1 :]
    return (
        not report.doubt
        and [one for layer in inner for one in layer.signers] == [signer]
        and signer.chain is ChainStatus.UNTRUSTED
        and len(signer.reasons) == 1  # whatever else were amiss would be another
        and signer.certificate is not None
        and signer.certificate.may_sign  # a chain of one that may not is untrusted too
    )


def _candidates(signer: Signer) -> Sequence[Certificate]:
    """Give the certificates that the signer names, where they came with the mail; else his own.

    Issuer and serial number are no proof, so that several may answer to them.
    """
    preference, own = signer.report.preference, signer.certificate
    named = [] if preference is None else [c for c in signer.brought if _is_named(c, preference)]
    return named[:MAX_NAMED] or ([] if own is None else [own])


def _names_another(signer: Signer) -> bool:
    preference, own = signer.report.preference, signer.certificate
    return preference is not None and own is not None and not _is_named(own, preference)


def _is_named(certificate: Certificate, preference: Identifier) -> bool:
    try:
        fields = read_certificate(certificate.der)
        return preference.matches(fields.issuer, fields.serial, fields.key_identifier)
    except CmsError:
        return False


def _is_fit(certificate: Certificate, mailbox: Mailbox, at: datetime) -> bool:
    return (
        certificate.carries(mailbox)
        and not unfit_to_encrypt(certificate, at)
        and len(certificate.der) <= MAX_KEPT_OCTETS
    )


def _octets(certificates: tuple[Certificate, ...]) -> int:
    return sum(len(certificate.der) for certificate in certificates)
