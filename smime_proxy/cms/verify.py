"""Judges the signatures of SignedData: integrity only; chain and identity are other facts.

RFC 5652 5.4-5.6 and 11, RFC 5035 3, RFC 8551 2 and 6.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from smime_proxy.cms import algorithms, ber, der, oids
from smime_proxy.cms.algorithms import Digest, SignatureAlgorithm, Strength
from smime_proxy.cms.certificate_fields import CertificateFields, PublicKey, read_certificate
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.identifier import Identifier
from smime_proxy.cms.signature import is_short, usable_key, verifies
from smime_proxy.cms.signed_attributes import (
    SignedAttributes,
    encodings,
    read_signed_attributes,
)
from smime_proxy.cms.signed_data import SignedData, SignerInfo

MAX_TRIES = 64  # public key operations for one message; 16 signers with doubtful bags


class Integrity(Enum):
    """Whether the octets are what the signer signed."""

    INTACT = "intact"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SignerReport:
    """What one signature turned out to be.

    `certificate` (DER) is the one that verified, else the first that the signer named, else
    None; `reason` is empty for INTACT. `weak`: SHA-1, or RSA below 2048 bits.
    """

    integrity: Integrity
    reason: str
    certificate: bytes | None
    digest: str
    signature: str
    signing_time: datetime | None
    sid: Identifier
    weak: bool

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
    verification = _Verification(signed, contents, extra_certificates)
    return tuple(_judge(verification, signer) for signer in signed.signers)


class _Finding(Exception):  # noqa: N818 - a verdict, not an error
    """Ends the checks of one signer with a verdict other than INTACT."""

    def __init__(self, integrity: Integrity, reason: str) -> None:
        super().__init__(reason)
        self.integrity = integrity
        self.reason = reason


class _Verification:
    """What the signers of one message share: digests made once, certificates, tries left."""

    def __init__(
        self, signed: SignedData, contents: Sequence[Content], extra: Sequence[bytes]
    ) -> None:
        self.signed = signed
        self.candidates = [der.pieces(content) for content in contents]
        self.substituted = False
        if signed.content is not None and not contents:
            self.candidates = [signed.content]
        elif signed.content is not None:
            own = signed.content
            self.substituted = not any(_same(own, candidate) for candidate in self.candidates)
        self.tries_left = MAX_TRIES
        self._certificates = _readable((*signed.certificates, *extra))
        self._digests: dict[str, list[bytes]] = {}

    def digests(self, digest: Digest) -> list[bytes]:
        """Digest of each candidate."""
        found = self._digests.get(digest.oid)
        if found is None:
            found = self._digests[digest.oid] = [digest.of(one) for one in self.candidates]
        return found

    def certificates(self, signer: SignerInfo) -> list[tuple[bytes, CertificateFields]]:
        """Every certificate the signer's identifier fits: two may share issuer and serial."""
        return [
            (certificate, fields)
            for certificate, fields in self._certificates
            if signer.sid.matches(fields.issuer, fields.serial, fields.ski)
        ]


def _judge(verification: _Verification, signer: SignerInfo) -> SignerReport:
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
    certificates = verification.certificates(signer)
    certificate = certificates[0][0] if certificates else None
    attributes, weak = None, False
    try:
        # 1. The content is the one to be judged.
        _check_content(verification)
        # 2. The digest is one that binds.
        digest = _digest(signer)
        weak = digest.strength is not Strength.STRONG
        # 3. The attributes keep RFC 5652 11 and their digest is the content's.
        attributes = _check_attributes(verification, signer, digest)
        # 4. The signature is by the key of a certificate that the signer names.
        certificate, weak_signature = _check_signature(
            verification, certificates, signer, digest, attributes
        )
        weak = weak or weak_signature
    except _Finding as finding:
        report = replace(report, integrity=finding.integrity, reason=finding.reason)
    return replace(
        report,
        certificate=certificate,
        signing_time=None if attributes is None else attributes.signing_time,
        weak=weak,
    )


def _check_content(verification: _Verification) -> None:
    if verification.substituted:
        raise _Finding(Integrity.BROKEN, "the signature carries other content than the message")
    if not verification.candidates:
        raise _Finding(Integrity.UNKNOWN, "no content")


def _digest(signer: SignerInfo) -> Digest:
    digest = algorithms.DIGESTS.get(signer.digest)
    if digest is None:
        raise _Finding(Integrity.UNKNOWN, f"unsupported digest {signer.digest}")
    if digest.strength is Strength.BROKEN:
        raise _Finding(Integrity.BROKEN, f"weak digest {digest.name}")
    return digest


def _check_attributes(
    verification: _Verification, signer: SignerInfo, digest: Digest
) -> SignedAttributes | None:
    content_type = verification.signed.content_type
    if signer.signed_attributes is None:
        if content_type != oids.DATA:  # RFC 5652 5.3
            raise _Finding(Integrity.BROKEN, "signed attributes are missing")
        # Signed attributes of an old signature, passed off as content without attributes,
        # would verify: both are octets under the same key.
        if any(_is_attribute_set(candidate) for candidate in verification.candidates):
            raise _Finding(Integrity.BROKEN, "the content is another signature's attributes")
        return None
    try:
        attributes = read_signed_attributes(signer)
    except CmsError as error:
        raise _Finding(Integrity.BROKEN, str(error)) from None
    if attributes.content_type != content_type:
        raise _Finding(Integrity.BROKEN, "content type differs from the signed one")
    if attributes.message_digest not in verification.digests(digest):
        raise _Finding(Integrity.BROKEN, "content differs from the signed one")
    return attributes


def _check_signature(
    verification: _Verification,
    certificates: list[tuple[bytes, CertificateFields]],
    signer: SignerInfo,
    digest: Digest,
    attributes: SignedAttributes | None,
) -> tuple[bytes, bool]:
    """The certificate whose key made the signature, and whether key or digest is weak."""
    algorithm = algorithms.SIGNATURES.get(signer.signature_algorithm)
    if algorithm is None or algorithm.key is None:
        name = algorithms.signature_name(signer.signature_algorithm)
        raise _Finding(Integrity.UNKNOWN, f"unsupported signature algorithm {name}")
    digests = _signature_digests(algorithm, digest)
    if not certificates:
        raise _Finding(Integrity.UNKNOWN, "no certificate")
    finding = None
    for certificate, fields in certificates:
        try:
            key = usable_key(fields, algorithm.key)
        except UnsupportedAlgorithm as error:
            finding = finding or _Finding(Integrity.UNKNOWN, str(error))
            continue
        used = _verifying_digest(verification, signer, key, digests)
        if used is None:
            finding = _Finding(Integrity.BROKEN, "the signature does not verify")
        elif attributes is not None and not _is_meant(certificate, attributes):
            finding = _Finding(Integrity.BROKEN, "another certificate was signed with")
        else:
            return certificate, used.strength is not Strength.STRONG or is_short(key)
    raise finding or _Finding(Integrity.UNKNOWN, "no certificate")


def _signature_digests(algorithm: SignatureAlgorithm, digest: Digest) -> list[Digest]:
    """The signature algorithm's own digest, then the signer's, for those who mislabel."""
    own = algorithms.DIGESTS_BY_NAME.get(algorithm.digest, digest)
    if own.strength is Strength.BROKEN:
        raise _Finding(Integrity.BROKEN, f"weak digest {own.name}")
    return [own] if own is digest else [own, digest]


def _verifying_digest(
    verification: _Verification, signer: SignerInfo, key: PublicKey, digests: list[Digest]
) -> Digest | None:
    for digest in digests:
        for hashed in _hashed(verification, signer, digest):
            verification.tries_left -= 1
            if verification.tries_left < 0:
                raise _Finding(Integrity.UNKNOWN, "too many certificates to try")
            if verifies(key, signer.signature, digest, hashed):
                return digest
    return None


def _hashed(verification: _Verification, signer: SignerInfo, digest: Digest) -> Iterator[bytes]:
    """Digests of what may have been signed."""
    if signer.signed_attributes is None:
        yield from dict.fromkeys(verification.digests(digest))
    else:
        for encoding in encodings(signer.signed_attributes):
            yield digest.of((encoding,))


def _is_meant(certificate: bytes, attributes: SignedAttributes) -> bool:
    return all(
        digest.of((certificate,)) == value
        for digest, value in attributes.certificate_hashes
        if digest.new is not None
    )


def _is_attribute_set(content: Sequence[Octets]) -> bool:
    """Whether the content is exactly one SET element, as no MIME entity is."""
    try:
        start = b"".join(bytes(part[:16]) for part in content[:16])[:16]
        tag, behind = ber.first_element(start)
    except MalformedCms:
        return False
    return tag == der.SET and behind == der.size(content)


def _same(one: Sequence[Octets], other: Sequence[Octets]) -> bool:
    return der.size(one) == der.size(other) and b"".join(one) == b"".join(other)


def _readable(certificates: Sequence[bytes]) -> list[tuple[bytes, CertificateFields]]:
    found = []
    for certificate in dict.fromkeys(certificates):
        try:
            found.append((certificate, read_certificate(certificate)))
        except CmsError:
            continue  # a certificate nobody can read identifies nobody
    return found
