"""Keys on a token as the primitives library has keys, so that CMS need not know the difference.

RFC 8017 8 and 9 (RSA), SEC 1 3.3 and 4.1 (ECDH, ECDSA), PKCS #11 v2.40 mechanisms 2.1 and 2.3.
"""

from collections.abc import Callable
from typing import Any, Never, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import KDF, MGF, Attribute, KeyType, Mechanism, ObjectClass

from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.oaep import unpadded
from smime_proxy.tokens.token import BadInput, NotOffered, Token
from smime_proxy.tokens.uri import KeyUri

T = TypeVar("T")

_PROOF = b"smime-proxy"
_PKCS1V15 = padding.PKCS1v15()

# RFC 8017 9.2 note 1: DigestInfo up to the digest.
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_MECHANISMS = {
    "sha1": (Mechanism.SHA_1, MGF.SHA1),
    "sha224": (Mechanism.SHA224, MGF.SHA224),
    "sha256": (Mechanism.SHA256, MGF.SHA256),
    "sha384": (Mechanism.SHA384, MGF.SHA384),
    "sha512": (Mechanism.SHA512, MGF.SHA512),
}


class _OnToken:
    """What keys of every kind on a token have in common; `_where` says where each is."""

    _where: "_Where"

    @property
    def reference(self) -> str:
        """The URI that finds the key."""
        return str(self._where.uri)

    def private_numbers(self) -> Never:
        """Raise: the key does not leave the token."""
        raise _stays()

    def private_bytes(self, *_args: Any, **_named: Any) -> Never:
        """Raise: the key does not leave the token."""
        raise _stays()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class TokenRsaKey(_OnToken, rsa.RSAPrivateKey):
    """An RSA key on a token; what it cannot do now raises `TokenUnavailable`."""

    def __init__(self, token: Token, uri: KeyUri, public_key: rsa.RSAPublicKey) -> None:
        """Keep where the key is; `public_key` is that of its certificate."""
        self._where = _Where(token, uri)
        self._public_key = public_key

    @property
    def key_size(self) -> int:
        """Size of the modulus in bits."""
        return self._public_key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Give the public key of the certificate."""
        return self._public_key

    def sign(self, data: bytes, padding: Any, algorithm: Any) -> bytes:
        """Sign by PKCS #1 v1.5 or PSS; the digest is made here, the rest on the token."""
        digest = _digested(algorithm, data)
        if _is_pss(padding):
            mechanism, mask = _MECHANISMS[algorithm.name]
            salt = padding._salt_length  # noqa: SLF001 - the library has no other way to ask
            return self._where.sign(
                lambda key: key.sign(
                    digest,
                    mechanism=Mechanism.RSA_PKCS_PSS,
                    mechanism_param=(mechanism, mask, salt),
                )
            )
        info = _DIGEST_INFO[algorithm.name] + digest
        return self._where.sign(lambda key: key.sign(info, mechanism=Mechanism.RSA_PKCS))

    def decrypt(self, ciphertext: bytes, padding: Any) -> bytes:
        """Open a content key; raises ValueError for octets that are none."""
        if not _is_oaep(padding):
            return self._where.open(
                lambda key: bytes(key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS))
            )
        digest, mask, label = padding.algorithm, padding.mgf._algorithm, padding._label or b""  # noqa: SLF001 - the library has no other way to ask
        parameters = (_MECHANISMS[digest.name][0], _MECHANISMS[mask.name][1], label)
        try:
            return self._where.open(
                lambda key: bytes(
                    key.decrypt(
                        ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters
                    )
                )
            )
        except NotOffered:  # SoftHSM 2.6 has OAEP with SHA-1 only
            raw = self._where.open(
                lambda key: key.decrypt(ciphertext, mechanism=Mechanism.RSA_X_509)
            )
            return unpadded(raw.rjust(self.key_size // 8, b"\0"), digest, mask, label)


class TokenEcKey(_OnToken, ec.EllipticCurvePrivateKey):
    """A key on an elliptic curve on a token; what it cannot do now raises `TokenUnavailable`."""

    def __init__(self, token: Token, uri: KeyUri, public_key: ec.EllipticCurvePublicKey) -> None:
        """Keep where the key is; `public_key` is that of its certificate."""
        self._where = _Where(token, uri)
        self._public_key = public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the certificate's key."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Size of the curve in bits."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Give the public key of the certificate."""
        return self._public_key

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """Sign by ECDSA; the digest is made here."""
        digest = _digested(signature_algorithm.algorithm, bytes(data))
        raw = self._where.sign(lambda key: key.sign(digest, mechanism=Mechanism.ECDSA))
        half = len(raw) // 2
        return encode_dss_signature(
            int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        )

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Agree on a secret, the x-coordinate; raises ValueError for a key of another curve."""
        del algorithm  # there is only one
        if peer_public_key.curve.name != self.curve.name:
            raise ValueError("a key on another curve")
        point = peer_public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        size = (self.key_size + 7) // 8

        def agree(key: Any) -> bytes:
            # The secret is no key of the token's: it goes, like that of any agreement, into a KDF.
            secret = key.derive_key(
                KeyType.GENERIC_SECRET,
                size * 8,
                mechanism_param=(KDF.NULL, None, point),
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
            )
            return bytes(secret[Attribute.VALUE])

        return self._where.open(agree).rjust(size, b"\0")


TokenKey = TokenRsaKey | TokenEcKey


def key_on(token: Token, uri: KeyUri, public_key: object) -> TokenKey:
    """Give the private key at a URI, to which this public key belongs; touches no token.

    Raises `TokenUnavailable` for keys of other kinds than RSA and those on curves.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return TokenRsaKey(token, uri, public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return TokenEcKey(token, uri, public_key)
    raise TokenUnavailable("only RSA and EC keys are used on a token")


def belongs(key: TokenKey) -> bool:
    """Use a key once, for what it may be used for, and see whether the public key is its own.

    Raises `TokenUnavailable` when it may be used for nothing.
    """
    try:
        return _signs(key)
    except TokenUnavailable as first:
        try:
            return _opens(key)
        except NotOffered:
            raise first from None
        except ValueError:
            return False


def _signs(key: TokenKey) -> bool:
    digest = hashes.SHA256()
    try:
        if isinstance(key, TokenRsaKey):
            signature = key.sign(_PROOF, _PKCS1V15, digest)
            key.public_key().verify(signature, _PROOF, _PKCS1V15, digest)
        else:
            scheme = ec.ECDSA(digest)
            key.public_key().verify(key.sign(_PROOF, scheme), _PROOF, scheme)
    except InvalidSignature:
        return False
    return True


def _opens(key: TokenKey) -> bool:
    if isinstance(key, TokenRsaKey):
        return key.decrypt(key.public_key().encrypt(_PROOF, _PKCS1V15), _PKCS1V15) == _PROOF
    peer = ec.generate_private_key(key.curve)
    mine = key.exchange(ec.ECDH(), peer.public_key())
    return mine == peer.exchange(ec.ECDH(), key.public_key())


class _Where:
    """A key on its token, and what its failures mean."""

    def __init__(self, token: Token, uri: KeyUri) -> None:
        self._token = token
        self.uri = uri

    def sign(self, act: Callable[[Any], bytes]) -> bytes:
        """Sign; a token that refuses what we made ourselves cannot be used."""
        try:
            return self.open(act)
        except (BadInput, NotOffered) as error:
            raise TokenUnavailable(f"{self.uri} does not sign: {error}") from error

    def open(self, act: Callable[[Any], T]) -> T:
        """Use the key on what others sent (raises as `Token.use`)."""
        return self._token.use(self.uri, ObjectClass.PRIVATE_KEY, act)


def _digested(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _is_pss(scheme: object) -> bool:
    return isinstance(scheme, padding.PSS)


def _is_oaep(scheme: object) -> bool:
    return isinstance(scheme, padding.OAEP)


def _stays() -> TypeError:
    return TypeError("a key on a token does not leave it")
