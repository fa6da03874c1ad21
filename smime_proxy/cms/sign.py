"""Makes SignedData with one signer, opaque or detached, from constants prepared once.

RFC 5652 5, RFC 8551 2.5 (attributes), RFC 5035 5.4 (signingCertificateV2), RFC 5754 3.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from smime_proxy.cms import algorithms, ciphers, der
from smime_proxy.cms.algorithms import Digest
from smime_proxy.cms.certificate_fields import KEY_ENCIPHERMENT, CertificateFields, read_certificate
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.oids import (
    CONTENT_TYPE,
    DATA,
    ENCRYPTION_KEY_PREFERENCE,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    SIGNING_CERTIFICATE_V2,
    SIGNING_TIME,
    SMIME_CAPABILITIES,
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_PKCS1V15 = padding.PKCS1v15()
_VERSION_1 = der.integer(1)
_SIGNED_ATTRIBUTES = b"\xa0"  # [0] IMPLICIT, hashed as the SET OF it stands for
_CERTIFICATES = 0xA0
_EXPLICIT_0 = 0xA0


def _attribute(oid: str, value: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(oid), der.element(der.SET, value))


def _algorithm(oid: str, parameters: bytes = b"") -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(oid), parameters)


# What can be decrypted here, the preferred first (RFC 8551 2.5.2). No weak cipher is offered.
_CAPABILITIES = _attribute(
    SMIME_CAPABILITIES,
    der.element(
        der.SEQUENCE,
        *(
            _algorithm(cipher.oid)
            for cipher in (ciphers.AES256_CBC, ciphers.AES192_CBC, ciphers.AES128_CBC)
        ),
    ),
)
_CONTENT_TYPE = _attribute(CONTENT_TYPE, der.object_identifier(DATA))
_SIGNED_DATA = der.object_identifier(SIGNED_DATA)
_DATA = der.object_identifier(DATA)
_DETACHED = der.element(der.SEQUENCE, _DATA)


@dataclass(frozen=True, slots=True)
class CmsSigner:
    """A private key with all that is the same in each of its signatures.

    The key may be any subclass of the two classes, so one that asks a device.
    """

    private_key: PrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    digest: Digest
    constant_attributes: tuple[bytes, ...] = field(repr=False)
    before_content: bytes = field(repr=False)  # version and digestAlgorithms
    certificates: bytes = field(repr=False)  # the certificates field
    before_attributes: bytes = field(repr=False)  # signerInfo: version, sid, digestAlgorithm
    signature_algorithm: bytes = field(repr=False)

    @property
    def digest_name(self) -> str:
        """Name of the digest, as in reports: `sha256`."""
        return self.digest.name

    @classmethod
    def build(
        cls,
        private_key: PrivateKey,
        certificate_der: bytes,
        chain: tuple[bytes, ...],
        *,
        capabilities: bool,
    ) -> "CmsSigner":
        """A signer; `chain` is the DER certificates between it and the root, without the root.

        Without `capabilities` signatures invite nobody to encrypt: no sMIMECapabilities, no
        SMIMEEncryptionKeyPreference. Raises MalformedCms for an unreadable certificate,
        UnsupportedAlgorithm for a key that signs nothing here, CmsError when key and
        certificate do not belong together.
        """
        fields = read_certificate(certificate_der)
        digest, signature_algorithm = _choose(private_key)
        if private_key.public_key() != fields.public_key():
            raise CmsError("the private key does not belong to the certificate")
        digest_algorithm = _algorithm(digest.oid)  # RFC 5754 2: parameters absent
        return cls(
            private_key,
            certificate_der,
            digest,
            _constant_attributes(certificate_der, fields, capabilities=capabilities),
            _VERSION_1 + der.element(der.SET, digest_algorithm),
            der.element(_CERTIFICATES, der.set_of({certificate_der, *chain})),
            _VERSION_1 + fields.issuer_and_serial + digest_algorithm,
            signature_algorithm,
        )

    def signature(self, octets: bytes) -> bytes:
        """Signature value over small octets; whatever a device's key raises comes out as is."""
        primitive = self.digest.primitive
        if primitive is None:  # _choose gives none of these
            raise UnsupportedAlgorithm(self.digest.oid)
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            return self.private_key.sign(octets, _PKCS1V15, primitive)
        return self.private_key.sign(octets, ec.ECDSA(primitive))


def sign(
    content: Content, signer: CmsSigner, *, signing_time: datetime | None, detached: bool
) -> bytes:
    """ContentInfo (DER) with a signature over the content's octets as they are.

    `signing_time` is aware; the attribute is left out for None. `detached` leaves the content
    out of the result.
    """
    return b"".join(sign_pieces(content, signer, signing_time=signing_time, detached=detached))


def sign_pieces(
    content: Content, signer: CmsSigner, *, signing_time: datetime | None, detached: bool
) -> list[Octets]:
    """As `sign`, in pieces to be joined once: large content is not copied."""
    parts = der.pieces(content)
    signer_info = _signer_info(signer.digest.of(parts), signer, signing_time)
    behind = signer.certificates + der.element(der.SET, signer_info)
    encapsulated: list[Octets] = [_DETACHED] if detached else _encapsulate(parts)
    inner = len(signer.before_content) + der.size(encapsulated) + len(behind)
    signed_data = der.header(der.SEQUENCE, inner)
    explicit = der.header(_EXPLICIT_0, len(signed_data) + inner)
    outer = der.header(der.SEQUENCE, len(_SIGNED_DATA) + len(explicit) + len(signed_data) + inner)
    start = b"".join((outer, _SIGNED_DATA, explicit, signed_data, signer.before_content))
    return [start, *encapsulated, behind]


def _encapsulate(parts: Sequence[Octets]) -> list[Octets]:
    length = der.size(parts)
    octet_string = der.header(der.OCTET_STRING, length)
    explicit = der.header(_EXPLICIT_0, len(octet_string) + length)
    length += len(_DATA) + len(explicit) + len(octet_string)
    return [der.header(der.SEQUENCE, length) + _DATA + explicit + octet_string, *parts]


def _signer_info(message_digest: bytes, signer: CmsSigner, signing_time: datetime | None) -> bytes:
    attributes = [
        *signer.constant_attributes,
        _attribute(MESSAGE_DIGEST, der.element(der.OCTET_STRING, message_digest)),
    ]
    if signing_time is not None:
        attributes.append(_attribute(SIGNING_TIME, der.time(signing_time)))
    attribute_set = der.element(der.SET, der.set_of(attributes))
    return der.element(
        der.SEQUENCE,
        signer.before_attributes,
        _SIGNED_ATTRIBUTES,
        attribute_set[1:],
        signer.signature_algorithm,
        der.element(der.OCTET_STRING, signer.signature(attribute_set)),
    )


def _constant_attributes(
    certificate: bytes, fields: CertificateFields, *, capabilities: bool
) -> tuple[bytes, ...]:
    # ESSCertIDv2 with SHA-256, the default that DER leaves out (RFC 5035 4).
    identifier = der.element(der.OCTET_STRING, hashlib.sha256(certificate).digest())
    for _ in range(3):  # ESSCertIDv2, certs, SigningCertificateV2
        identifier = der.element(der.SEQUENCE, identifier)
    attributes = [_CONTENT_TYPE, _attribute(SIGNING_CERTIFICATE_V2, identifier)]
    if capabilities:
        attributes.append(_CAPABILITIES)
        if _can_be_encrypted_to(fields):
            # issuerAndSerialNumber [0] IMPLICIT (RFC 8551 2.5.3)
            preference = b"\xa0" + fields.issuer_and_serial[1:]
            attributes.append(_attribute(ENCRYPTION_KEY_PREFERENCE, preference))
    return tuple(attributes)


def _can_be_encrypted_to(fields: CertificateFields) -> bool:
    is_rsa = isinstance(fields.public_key(), rsa.RSAPublicKey)
    return is_rsa and bool(fields.key_usage & KEY_ENCIPHERMENT)


def _choose(private_key: PrivateKey) -> tuple[Digest, bytes]:
    """Digest and AlgorithmIdentifier that fit the key; raises UnsupportedAlgorithm."""
    if isinstance(private_key, rsa.RSAPrivateKey):
        if not algorithms.MIN_RSA_BITS <= private_key.key_size <= algorithms.MAX_RSA_BITS:
            reason = f"RSA key of {private_key.key_size} bits"
            raise UnsupportedAlgorithm(algorithms.RSA_ENCRYPTION, reason)
        return algorithms.SHA256, _algorithm(algorithms.RSA_ENCRYPTION, der.NULL)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise UnsupportedAlgorithm(type(private_key).__name__, "unsupported private key")
    choice = algorithms.CURVE_SIGNATURES.get(type(private_key.curve))
    if choice is None:
        raise UnsupportedAlgorithm(private_key.curve.name, "unsupported curve")
    digest, oid = choice
    return digest, _algorithm(oid)  # RFC 5754 3.3: parameters absent
