"""The ways to sign: which one a key and its certificate ask for, and how it is written.

RFC 5754 3, RFC 4056 2.2 and 3 (RSASSA-PSS), RFC 5753 2.1 (ECDSA), RFC 8419 3.1 (EdDSA), RFC 9882 3
(ML-DSA), RFC 4055 3.3 (keys with parameters).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import SHA256, SHA512, SHAKE256_LEN, Digest
from smime_proxy.cms.certificate_fields import CertificateFields
from smime_proxy.cms.errors import UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters, read_pss_parameters

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

# RFC 4056 2.2 and 3: one digest throughout, a salt as long as it.
PSS_SHA256 = PssParameters(SHA256, SHA256, 32)

_PKCS1V15 = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to sign: its name in reports, the digest of the content, the encoded algorithm.

    `sign` gives the signature value over small octets; whatever a device's key raises comes
    out as is.
    """

    name: str
    digest: Digest
    algorithm: bytes = field(repr=False)
    sign: Callable[[bytes], bytes] = field(repr=False, compare=False)

    @property
    def digest_algorithm(self) -> bytes:
        """The digest's AlgorithmIdentifier; parameters absent where allowed (RFC 5754 2)."""
        return identifier(self.digest.oid, self.digest.parameters)


def identifier(oid: str, parameters: bytes = b"") -> bytes:
    """AlgorithmIdentifier as DER."""
    return der.element(der.SEQUENCE, der.object_identifier(oid), parameters)


def choose(
    private_key: PrivateKey, fields: CertificateFields, *, rsassa_pss: bool = False
) -> Scheme:
    """The scheme for a key and its certificate; raises UnsupportedAlgorithm.

    RSA signs by PKCS #1 v1.5 unless RSASSA-PSS is asked for or the certificate is for that only.
    """
    match private_key:
        case rsa.RSAPrivateKey():
            return _rsa(private_key, fields, rsassa_pss=rsassa_pss)
        case ec.EllipticCurvePrivateKey():
            return _ecdsa(private_key)
        case ed25519.Ed25519PrivateKey():
            return _of_octets(private_key, "ed25519", algorithms.ED25519, SHA512)
        case ed448.Ed448PrivateKey():
            return _of_octets(private_key, "ed448", algorithms.ED448, SHAKE256_LEN)
        # RFC 9882 3.3: SHA-512 suits each of them and everybody has it.
        case mldsa.MLDSA44PrivateKey():
            return _of_octets(private_key, "mldsa44", algorithms.ML_DSA_44, SHA512)
        case mldsa.MLDSA65PrivateKey():
            return _of_octets(private_key, "mldsa65", algorithms.ML_DSA_65, SHA512)
        case mldsa.MLDSA87PrivateKey():
            return _of_octets(private_key, "mldsa87", algorithms.ML_DSA_87, SHA512)
        case _:
            raise UnsupportedAlgorithm(type(private_key).__name__, "unsupported private key")


def _rsa(key: rsa.RSAPrivateKey, fields: CertificateFields, *, rsassa_pss: bool) -> Scheme:
    if not algorithms.MIN_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
        raise UnsupportedAlgorithm(algorithms.RSA_ENCRYPTION, f"RSA key of {key.key_size} bits")
    oid, restriction = fields.key_algorithm()
    if oid == algorithms.RSASSA_PSS:
        asked = restriction not in {b"", der.NULL}
        return _pss(key, read_pss_parameters(restriction) if asked else PSS_SHA256)
    if oid != algorithms.RSA_ENCRYPTION:
        raise UnsupportedAlgorithm(oid, "certificate for another use of the key")
    if rsassa_pss:
        return _pss(key, PSS_SHA256)
    algorithm = identifier(algorithms.RSA_ENCRYPTION, der.NULL)
    digest = hashes.SHA256()
    return Scheme(
        "rsassa_pkcs1v15", SHA256, algorithm, lambda octets: key.sign(octets, _PKCS1V15, digest)
    )


def _pss(key: rsa.RSAPrivateKey, parameters: PssParameters) -> Scheme:
    digest, mask = parameters.digest, parameters.mask_digest
    if digest.primitive is None or mask.primitive is None or digest is algorithms.SHA1:
        raise UnsupportedAlgorithm(digest.oid, "certificate asks for a weak digest")
    # RFC 8017 9.1.1: the encoded message is a bit shorter than the modulus.
    room = (key.key_size + 6) // 8 - digest.primitive.digest_size - 2
    if parameters.salt_length > room:
        raise UnsupportedAlgorithm(algorithms.RSASSA_PSS, "certificate asks for too long a salt")
    primitive, scheme = (
        digest.primitive,
        padding.PSS(padding.MGF1(mask.primitive), parameters.salt_length),
    )
    algorithm = identifier(algorithms.RSASSA_PSS, parameters.encode())
    return Scheme(
        "rsassa_pss", digest, algorithm, lambda octets: key.sign(octets, scheme, primitive)
    )


def _ecdsa(key: ec.EllipticCurvePrivateKey) -> Scheme:
    choice = algorithms.CURVE_SIGNATURES.get(type(key.curve))
    if choice is None or choice[0].primitive is None:
        raise UnsupportedAlgorithm(key.curve.name, "unsupported curve")
    digest, oid = choice
    scheme = ec.ECDSA(choice[0].primitive)
    # RFC 5754 3.3: parameters absent.
    return Scheme("ecdsa", digest, identifier(oid), lambda octets: key.sign(octets, scheme))


def _of_octets(
    key: ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey,
    name: str,
    oid: str,
    digest: Digest,
) -> Scheme:
    return Scheme(name, digest, identifier(oid), key.sign)
