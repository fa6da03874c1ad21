"""Makes SignedData with one signer, opaque or detached, from constants prepared once.

RFC 5652 5, RFC 8551 2.5 (attributes), RFC 5035 5.4 (signingCertificateV2), RFC 6211 (algorithm
protection), RFC 5753 6 and RFC 3560 5 (capabilities of keys).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.cms import algorithms, ber, ciphers, der
from smime_proxy.cms.algorithms import Digest
from smime_proxy.cms.capabilities import Capabilities, encode_capabilities
from smime_proxy.cms.certificate_fields import (
    KEY_AGREEMENT,
    KEY_ENCIPHERMENT,
    CertificateFields,
    read_certificate,
)
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.key_protection import OAEP_SHA256
from smime_proxy.cms.oids import (
    ALGORITHM_PROTECTION,
    CONTENT_TYPE,
    DATA,
    ENCRYPTION_KEY_PREFERENCE,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    SIGNING_CERTIFICATE_V2,
    SIGNING_TIME,
    SMIME_CAPABILITIES,
)
from smime_proxy.cms.schemes import PrivateKey, Scheme, choose, identifier

RSASSA_PKCS1V15, RSASSA_PSS = "rsassa_pkcs1v15", "rsassa_pss"  # the two ways of RSA keys

_VERSION_1 = der.integer(1)
_SIGNED_ATTRIBUTES = b"\xa0"  # [0] IMPLICIT, hashed as the SET OF it stands for
_CERTIFICATES = 0xA0
_EXPLICIT_0 = 0xA0


def _attribute(oid: str, value: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.object_identifier(oid), der.element(der.SET, value))


# What can be decrypted here, the preferred first (RFC 8551 2.5.2). No weak cipher is offered.
_CIPHERS = tuple(
    (cipher.oid, b"")
    for cipher in (
        ciphers.AES256_GCM,
        ciphers.AES128_GCM,
        ciphers.AES256_CBC,
        ciphers.AES192_CBC,
        ciphers.AES128_CBC,
    )
)
_OAEP_SHA256 = read_algorithm(ber.read_only(OAEP_SHA256.algorithm))
# RFC 5753 6: dhSinglePass-stdDH-sha256kdf-scheme, its parameters the key wrap.
_AGREEMENTS = tuple(
    ("1.3.132.1.11.1", identifier("2.16.840.1.101.3.4.1." + wrap)) for wrap in ("45", "5")
)
_CONTENT_TYPE = _attribute(CONTENT_TYPE, der.object_identifier(DATA))
_SIGNED_DATA = der.object_identifier(SIGNED_DATA)
_DATA = der.object_identifier(DATA)
_DETACHED = der.element(der.SEQUENCE, _DATA)


@dataclass(frozen=True, slots=True)
class CmsSigner:
    """A private key with all that is the same in each of its signatures.

    The key may be any subclass of its class, so one that asks a device.
    """

    private_key: PrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    scheme: Scheme
    constant_attributes: tuple[bytes, ...] = field(repr=False)
    before_content: bytes = field(repr=False)  # version and digestAlgorithms
    certificates: bytes = field(repr=False)  # the certificates field
    before_attributes: bytes = field(repr=False)  # signerInfo: version, sid, digestAlgorithm

    @property
    def digest(self) -> Digest:
        """The digest of the content."""
        return self.scheme.digest

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
        encryption: Sequence[bytes] = (),
    ) -> "CmsSigner":
        """A signer; `chain` is the DER certificates between it and the root, without the root.

        Without `capabilities` signatures invite nobody to encrypt: no sMIMECapabilities, no
        SMIMEEncryptionKeyPreference. With, they ask that mail be encrypted to the first of
        `encryption`, which is another certificate of the signer with its chain, or else to the
        signer's own if it may (RFC 8551 2.5.3). Raises MalformedCms for an unreadable certificate,
        UnsupportedAlgorithm for a key that signs nothing here, CmsError when key and
        certificate do not belong together.
        """
        fields = read_certificate(certificate_der)
        recipient = read_certificate(encryption[0]) if encryption else fields
        invited = {*encryption} if capabilities else set[bytes]()
        scheme = choose(private_key, fields)
        if private_key.public_key() != fields.public_key():
            raise CmsError("the private key does not belong to the certificate")
        return cls(
            private_key,
            certificate_der,
            scheme,
            _constant_attributes(certificate_der, recipient if capabilities else None),
            _VERSION_1 + der.element(der.SET, scheme.digest_algorithm),
            der.element(_CERTIFICATES, der.set_of({certificate_der, *chain, *invited})),
            _VERSION_1 + fields.issuer_and_serial + scheme.digest_algorithm,
        )

    def using(self, scheme: str) -> "CmsSigner":
        """The same signer with `rsassa_pss` or `rsassa_pkcs1v15`, the two schemes of RSA keys.

        Itself for other keys, and where the certificate leaves no choice. Raises
        UnsupportedAlgorithm for every other name.
        """
        if scheme not in {RSASSA_PKCS1V15, RSASSA_PSS}:
            raise UnsupportedAlgorithm(scheme, "unknown signature scheme")
        if not isinstance(self.private_key, rsa.RSAPrivateKey) or scheme == self.scheme.name:
            return self
        fields = read_certificate(self.certificate)
        chosen = choose(self.private_key, fields, rsassa_pss=scheme == RSASSA_PSS)
        # The digest is the same for both: SHA-256, or what the certificate asks for.
        return replace(self, scheme=chosen) if chosen.name == scheme else self


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
        _protection(signer.scheme),
    ]
    if signing_time is not None:
        attributes.append(_attribute(SIGNING_TIME, der.time(signing_time)))
    attribute_set = der.element(der.SET, der.set_of(attributes))
    return der.element(
        der.SEQUENCE,
        signer.before_attributes,
        _SIGNED_ATTRIBUTES,
        attribute_set[1:],
        signer.scheme.algorithm,
        der.element(der.OCTET_STRING, signer.scheme.sign(attribute_set)),
    )


def _protection(scheme: Scheme) -> bytes:
    # CMSAlgorithmProtection: signatureAlgorithm is [1] IMPLICIT (RFC 6211 2).
    algorithms_used = scheme.digest_algorithm + b"\xa1" + scheme.algorithm[1:]
    return _attribute(ALGORITHM_PROTECTION, der.element(der.SEQUENCE, algorithms_used))


def _constant_attributes(
    certificate: bytes, recipient: CertificateFields | None
) -> tuple[bytes, ...]:
    """Give what all signatures say; `recipient` is the certificate to encrypt to, if any."""
    # ESSCertIDv2 with SHA-256, the default that DER leaves out (RFC 5035 4).
    identifier = der.element(der.OCTET_STRING, hashlib.sha256(certificate).digest())
    for _ in range(3):  # ESSCertIDv2, certs, SigningCertificateV2
        identifier = der.element(der.SEQUENCE, identifier)
    attributes = [_CONTENT_TYPE, _attribute(SIGNING_CERTIFICATE_V2, identifier)]
    if recipient is not None:
        encryption = _encryption(recipient)
        listed = encode_capabilities(Capabilities((*_CIPHERS, *encryption)))
        attributes.append(_attribute(SMIME_CAPABILITIES, listed))
        if encryption:
            # issuerAndSerialNumber [0] IMPLICIT (RFC 8551 2.5.3)
            preference = b"\xa0" + recipient.issuer_and_serial[1:]
            attributes.append(_attribute(ENCRYPTION_KEY_PREFERENCE, preference))
    return tuple(attributes)


def _encryption(fields: CertificateFields) -> tuple[tuple[str, bytes], ...]:
    """How a content key may come to the certificate's key; nothing when it may not."""
    match fields.public_key():
        case rsa.RSAPublicKey() if fields.key_usage & KEY_ENCIPHERMENT:
            is_general = fields.key_algorithm()[0] == algorithms.RSA_ENCRYPTION
            return (_OAEP_SHA256,) if is_general else ()
        case ec.EllipticCurvePublicKey() if fields.key_usage & KEY_AGREEMENT:
            return _AGREEMENTS
        case _:
            return ()
