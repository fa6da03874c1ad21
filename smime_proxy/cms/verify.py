"""Judges the signatures of SignedData: integrity only; chain and identity are other facts.

RFC 5652 5.4-5.6 and 11, RFC 5035 3, RFC 4056 3, RFC 8419 3, RFC 9882 3, RFC 8551 2 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from smime_proxy.cms import algorithms, ber, der, oids
from smime_proxy.cms.algorithms import Digest, Strength
from smime_proxy.cms.capabilities import Capabilities, parse_capabilities
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.identifier import Identifier
from smime_proxy.cms.key_preference import read_preference
from smime_proxy.cms.signed_attributes import SignedAttributes, read_signed_attributes
from smime_proxy.cms.signed_data import SignedData, SignerInfo
from smime_proxy.cms.trial import Finding, Integrity, Trial, check_signature
from smime_proxy.cms.ways import content_digest, ways

MAX_ATTRIBUTES_OCTETS = 100_000  # all signed ones; seen up to 5,000, encoded anew for each try

__all__ = ["Integrity", "SignerReport", "verify"]


@dataclass(frozen=True, slots=True)
class SignerReport:
    """What one signature turned out to be.

    `certificate` (DER) is the one that verified, else the first that the signer named, else
    None; `reason` is empty for INTACT. `weak`: SHA-1, RSA below 2048 bits, a small curve, DSA.
    `capabilities` are what the signer of an INTACT one says he can read, if he does, `preference`
    names the certificate he wants mail encrypted to.
    """

    integrity: Integrity
    reason: str
    certificate: bytes | None
    digest: str
    signature: str
    signing_time: datetime | None
    sid: Identifier
    weak: bool
    capabilities: Capabilities | None = None
    preference: Identifier | None = None

    @property
    def issuer(self) -> str:
        """Issuer that the signer names (RFC 4514); empty for a key identifier."""
        return self.sid.printable_issuer

    @property
    def serial(self) -> str:
        """Serial number that the signer names, upper case hexadecimal; else empty."""
        return self.sid.printable_serial

    @property
    def ski(self) -> str:
        """Key identifier that the signer names, hexadecimal; else empty."""
        return "" if self.sid.ski is None else self.sid.ski.hex()


def verify(
    signed: SignedData, contents: Sequence[Content], extra_certificates: Sequence[bytes] = ()
) -> tuple[SignerReport, ...]:
    """One report a signerInfo, in order; none for SignedData that nobody signed.

    `contents` are the candidates for what a detached signature covers; with none, eContent is
    what it covers. Certificates in the message come before `extra_certificates` (DER). Strangers'
    octets raise nothing: what cannot be judged is UNKNOWN.
    """
    trial = Trial(signed, contents, extra_certificates)
    return tuple(_judge(trial, signer) for signer in signed.signers)


def _judge(trial: Trial, signer: SignerInfo) -> SignerReport:
    report = SignerReport(
        Integrity.INTACT,
        "",
        None,
        algorithms.digest_name(signer.digest),
        algorithms.signature_name(signer.signature_algorithm),
        None,
        signer.sid,
        weak=False,
    )
    certificates = trial.certificates(signer)
    certificate = certificates[0][0] if certificates else None
    attributes, capabilities, preference, weak = None, None, None, False
    try:
        # 1. The content is the one to be judged.
        _check_content(trial)
        # 2. The digest is one that binds.
        digest = content_digest(signer)
        weak = digest is not None and digest.strength is not Strength.STRONG
        # 3. The attributes keep RFC 5652 11 and their digest is the content's.
        attributes = _check_attributes(trial, signer, digest)
        # 4. The signature is by the key of a certificate that the signer names.
        certificate, weak_signature = check_signature(
            trial, certificates, signer, ways(signer, digest), attributes
        )
        weak = weak or weak_signature
        capabilities, preference = _capabilities(signer), read_preference(signer)
    except Finding as finding:
        report = replace(report, integrity=finding.integrity, reason=finding.reason)
    except UnsupportedAlgorithm as error:
        report = replace(report, integrity=Integrity.UNKNOWN, reason=str(error))
    except CmsError as error:
        report = replace(report, integrity=Integrity.BROKEN, reason=str(error))
    return replace(
        report,
        certificate=certificate,
        signing_time=None if attributes is None else attributes.signing_time,
        weak=weak,
        capabilities=capabilities,
        preference=preference,
    )


def _check_content(trial: Trial) -> None:
    if trial.substituted:
        raise Finding(Integrity.BROKEN, "the signature carries other content than the message")
    if not trial.candidates:
        raise Finding(Integrity.UNKNOWN, "no content")


def _check_attributes(
    trial: Trial, signer: SignerInfo, digest: Digest | None
) -> SignedAttributes | None:
    content_type = trial.signed.content_type
    if signer.signed_attributes is None or digest is None:
        if content_type != oids.DATA:  # RFC 5652 5.3
            raise Finding(Integrity.BROKEN, "signed attributes are missing")
        # Signed attributes of an old signature, passed off as content without attributes,
        # would verify: both are octets under the same key.
        if any(_is_attribute_set(candidate) for candidate in trial.candidates):
            raise Finding(Integrity.BROKEN, "the content is another signature's attributes")
        return None
    if len(signer.signed_attributes) > MAX_ATTRIBUTES_OCTETS:
        raise Finding(Integrity.UNKNOWN, "the signed attributes are too large")
    attributes = read_signed_attributes(signer)
    if attributes.content_type != content_type:
        raise Finding(Integrity.BROKEN, "content type differs from the signed one")
    if attributes.message_digest not in trial.digests(digest):
        raise Finding(Integrity.BROKEN, "content differs from the signed one")
    return attributes


def _capabilities(signer: SignerInfo) -> Capabilities | None:
    """What the signer says he can read; None when he does not, or nobody can tell."""
    match [a.values for a in signer.attributes if a.oid == oids.SMIME_CAPABILITIES]:
        case [(value,)]:
            try:
                return parse_capabilities(value)
            except CmsError:
                return None
        case _:
            return None


def _is_attribute_set(content: Sequence[Octets]) -> bool:
    """Whether the content is exactly one SET element, as no MIME entity is."""
    try:
        start = b"".join(bytes(part[:16]) for part in content[:16])[:16]
        tag, behind = ber.first_element(start)
    except MalformedCms:
        return False
    return tag == der.SET and behind == der.size(content)
