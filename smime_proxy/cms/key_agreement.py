"""Opens content keys that key agreement with the sender's ephemeral key protects.

RFC 5753 (ECDH), RFC 8418 (X25519, X448), SEC 1 3.6.1 (X9.63 key derivation), RFC 5869 (HKDF).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from smime_proxy.cms import ber, der
from smime_proxy.cms.algorithms import by_oid
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.key_wrap import key_wrap
from smime_proxy.cms.recipient_info import RecipientInfo

AgreementKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey

# All of cofactor 1, so that cofactor and standard agreement are the same (RFC 5753 7.1.2, RFC
# 5639). P-192 and P-224 occur in old mail only.
CURVES = frozenset(
    {
        *("secp192r1", "secp224r1", "secp256r1", "secp384r1", "secp521r1"),
        *("brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"),
    }
)

Derive = Callable[[hashes.HashAlgorithm, bytes, bytes, bytes | None, int], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class AgreementScheme:
    """A key agreement scheme; `derive` is None where it is known by name only."""

    oid: str
    name: str
    digest: hashes.HashAlgorithm
    derive: Derive | None


def _x963(
    digest: hashes.HashAlgorithm, secret: bytes, info: bytes, _ukm: bytes | None, length: int
) -> Iterator[bytes]:
    yield X963KDF(digest, length, info).derive(secret)


def _hkdf(
    digest: hashes.HashAlgorithm, secret: bytes, info: bytes, ukm: bytes | None, length: int
) -> Iterator[bytes]:
    # RFC 8418 2.2: the user keying material is the salt as well. Some writers take it into the
    # info only; the key wrap tells which did.
    for salt in dict.fromkeys((ukm or None, None)):
        yield HKDF(digest, length, salt, info).derive(secret)


_SHA1 = hashes.SHA1()  # noqa: S303 - what RFC 5753 began with
_DIGESTS = (
    ("sha224", hashes.SHA224()),
    ("sha256", hashes.SHA256()),
    ("sha384", hashes.SHA384()),
    ("sha512", hashes.SHA512()),
)
_X963, _SECG, _SMIME = "1.3.133.16.840.63.0.", "1.3.132.1.", "1.2.840.113549.1.9.16.3."
_KINDS: tuple[tuple[str, str, str, Derive | None], ...] = (
    ("dhsinglepass_stddh", "2", "11", _x963),
    ("dhsinglepass_cofactordh", "3", "14", _x963),
    ("mqvsinglepass", "16", "15", None),
)
SCHEMES = by_oid(
    (
        *(AgreementScheme(_X963 + o, f"{n}_sha1kdf", _SHA1, d) for n, o, _, d in _KINDS),
        *(
            AgreementScheme(f"{_SECG}{arc}.{number}", f"{name}_{digest}kdf", primitive, derive)
            for name, _, arc, derive in _KINDS
            for number, (digest, primitive) in enumerate(_DIGESTS)
        ),
        *(
            AgreementScheme(f"{_SMIME}{n}", f"dhsinglepass_stddh_hkdf_{digest}", primitive, _hkdf)
            for n, (digest, primitive) in enumerate(_DIGESTS[1:], 19)
        ),
    )
)


def agreed_key(recipient: RecipientInfo, key: AgreementKey) -> bytes:
    """The content key; raises DecryptionError or CmsError."""
    agreement = recipient.agreement
    scheme = SCHEMES.get(recipient.algorithm)
    if agreement is None or scheme is None or scheme.derive is None:
        raise DecryptionError
    wrap = key_wrap(read_algorithm(ber.read_only(recipient.parameters))[0])
    secret = _shared_secret(key, agreement.public_key)
    for name in _forms(recipient.parameters, wrap.oid):
        info = shared_info(name, agreement.ukm, wrap.key_length)
        for kek in scheme.derive(scheme.digest, secret, info, agreement.ukm, wrap.key_length):
            with suppress(DecryptionError):
                return wrap.unwrap(kek, recipient.encrypted_key)
    raise DecryptionError


def _forms(sent: bytes, oid: str) -> Iterable[bytes]:
    """The key wrap's AlgorithmIdentifier as it was sent, then with parameters NULL and absent.

    Bouncy Castle put NULL into the derivation whatever it sent; the key wrap tells who did.
    """
    name = der.object_identifier(oid)
    others = (der.element(der.SEQUENCE, name, der.NULL), der.element(der.SEQUENCE, name))
    return dict.fromkeys((sent, *others))


def shared_info(wrap: bytes, ukm: bytes | None, length: int) -> bytes:
    """ECC-CMS-SharedInfo (RFC 5753 7.2) with the key wrap's AlgorithmIdentifier.

    `length` is that of the key-encryption key in octets.
    """
    entity = b"" if ukm is None else der.element(0xA0, der.element(der.OCTET_STRING, ukm))
    bits = der.element(der.OCTET_STRING, (length * 8).to_bytes(4))
    return der.element(der.SEQUENCE, wrap, entity, der.element(0xA2, bits))


def _shared_secret(key: AgreementKey, public_key: bytes) -> bytes:
    """Loading checks that a point is on the curve, agreement that the secret is not zero."""
    try:
        if isinstance(key, x25519.X25519PrivateKey):
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(public_key))
        if isinstance(key, x448.X448PrivateKey):
            return key.exchange(x448.X448PublicKey.from_public_bytes(public_key))
        if key.curve.name not in CURVES:
            raise DecryptionError
        point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, public_key)
        return key.exchange(ec.ECDH(), point)
    except (ValueError, UnsupportedAlgorithm):
        raise DecryptionError from None
