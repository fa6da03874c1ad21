"""Files in which people keep their keys: PKCS #12 and PEM, paired by public key.

RFC 7292 (PKCS #12), RFC 5958 (PKCS #8), RFC 7468 (PEM), RFC 8018 (PBES2), RFC 5915 (SEC 1).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError, KeyFileError
from smime_proxy.certs.keybags import key_bags, refuse_costly, without_keys
from smime_proxy.certs.keys import MAX_RSA_BITS, USABLE_CURVES, PrivateKey
from smime_proxy.certs.pem import PemBlock, looks_like_pem, pem_blocks
from smime_proxy.certs.pkcs8 import read_private_key

MAX_KEY_FILE_OCTETS = 1_000_000  # about 200 keys with their chains; bounds the ASN.1 reading
MIN_DECRYPTION_BITS = 512  # old mail may still be read with such an RSA key

_PKCS12_LABELS = frozenset({"PKCS12", "PFX"})  # GnuTLS and gpgsm write such files
_PKCS8_LABELS = frozenset({"PRIVATE KEY", "ENCRYPTED PRIVATE KEY"})  # RFC 7468 10 and 11
_MALFORMED = "the PKCS #12 file is malformed"
_MISSING = "the password is missing"
_WRONG = "the password is wrong"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and a certificate for its public key."""

    private_key: PrivateKey = field(repr=False)
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class KeyBundle:
    """What a key file held: the newest pair, further pairs, all other certificates as chain.

    `chain` begins with what issued `certificate` as far as that is in the file. `report` says in
    one line each which certificate went where, and what was left out.
    """

    private_key: PrivateKey = field(repr=False)
    certificate: Certificate
    chain: tuple[Certificate, ...]
    others: tuple[KeyPair, ...]
    report: tuple[str, ...]

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """Give all pairs, the newest first."""
        return (KeyPair(self.private_key, self.certificate), *self.others)


@dataclass(frozen=True, slots=True)
class _Contents:
    keys: tuple[PrivateKeyTypes, ...] = field(repr=False)
    certificates: tuple[Certificate, ...]
    left_out: tuple[str, ...]


def read_key_file(raw: bytes, password: bytes | None) -> KeyBundle:
    """Read PKCS #12 or PEM with at least one private key and a certificate that fits it.

    Each key is validated, once, here. `password` may be empty or None where the file needs none.
    Raises `KeyFileError` with one line: wrong password, no key, no fitting certificate,
    unsupported type of key, too many rounds of key derivation, malformed.
    """
    if len(raw) > MAX_KEY_FILE_OCTETS:
        raise KeyFileError(f"a key file of more than {MAX_KEY_FILE_OCTETS} octets")
    try:
        contents = _read_pem(raw, password) if looks_like_pem(raw) else _read_pkcs12(raw, password)
    except KeyFileError:
        raise
    except CertificateError as error:
        raise KeyFileError(str(error)) from error
    return _bundle(contents)


def _bundle(contents: _Contents) -> KeyBundle:
    if not contents.keys:
        raise KeyFileError("the file holds no private key")
    keys, refused = _usable(contents.keys)
    if not keys:
        raise KeyFileError(refused[0])
    pairs = _pairs(keys, contents.certificates)
    if not pairs:
        raise KeyFileError("the file holds no certificate that fits its private key")
    first, *others = pairs
    paired = {pair.certificate for pair in pairs}
    rest = [certificate for certificate in contents.certificates if certificate not in paired]
    chain = _in_order(first.certificate, rest)
    report = (
        *(f"{_named(pair.certificate)}: key and certificate" for pair in pairs),
        *(f"{_named(certificate)}: chain" for certificate in chain),
        *refused,
        *contents.left_out,
    )
    return KeyBundle(first.private_key, first.certificate, chain, tuple(others), report)


def _named(certificate: Certificate) -> str:
    return f"{certificate.subject or 'certificate'} ({certificate.fingerprint[:16]})"


def _usable(keys: Iterable[PrivateKeyTypes]) -> tuple[list[PrivateKey], list[str]]:
    usable: list[PrivateKey] = []
    refused = []
    for key in keys:
        if isinstance(key, rsa.RSAPrivateKey):
            if MIN_DECRYPTION_BITS <= key.key_size <= MAX_RSA_BITS:
                usable.append(key)
            else:
                refused.append(f"an RSA key of {key.key_size} bits cannot be used")
        elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in USABLE_CURVES:
            refused.append(f"a key of type EC on {key.curve.name} cannot be used")
        elif isinstance(key, PrivateKey):
            usable.append(key)
        else:
            refused.append(f"a key of type {_kind(key)} cannot be used")
    return usable, refused


def _kind(key: PrivateKeyTypes) -> str:
    return type(key).__name__.removesuffix("PrivateKey").lstrip("_")


def _pairs(keys: Sequence[PrivateKey], certificates: Sequence[Certificate]) -> list[KeyPair]:
    by_public = {_spki(key.public_key()): key for key in reversed(keys)}
    pairs = []
    for certificate in certificates:
        try:
            key = by_public.get(_spki(certificate.public_key()))
        except CertificateError:
            continue  # not ours then: our keys can all be read
        if key is not None:
            pairs.append(KeyPair(key, certificate))
    # One key may have been certified several times; the newest certificate speaks for it.
    return sorted(pairs, key=lambda pair: pair.certificate.not_before, reverse=True)


def _spki(key: object) -> bytes:
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # every public key has it
    return der


def _in_order(leaf: Certificate, rest: Sequence[Certificate]) -> tuple[Certificate, ...]:
    chain: list[Certificate] = []
    current = leaf
    while not current.is_self_signed:
        issuers = (c for c in rest if c.subject_key == current.issuer_key and c not in chain)
        # RFC 5280 4.2.1.1: among issuers of one name the key identifier says which.
        ranked = sorted(issuers, key=lambda issuer: issuer.ski != current.aki)
        if not ranked:
            break
        current = ranked[0]
        chain.append(current)
    return (*chain, *(certificate for certificate in rest if certificate not in chain))


def _read_pkcs12(raw: bytes, password: bytes | None) -> _Contents:
    bags = key_bags(raw)
    further = list(_further_keys(bags, password))
    try:
        key, certificate, others = _open_pkcs12(raw, password)
    except KeyFileError as error:
        # The library cannot read ML-KEM and ML-DSA keys there, and says what it says of any fault.
        if str(error) != _MALFORMED or not further:
            raise
        key, certificate, others = _open_pkcs12(without_keys(raw), password)
    keys = [*([] if key is None else [key]), *further]
    held = [certificate, *others]
    return _contents(keys, [c.public_bytes(Encoding.DER) for c in held if c is not None])


def _open_pkcs12(
    raw: bytes, password: bytes | None
) -> tuple[PrivateKeyTypes | None, x509.Certificate | None, list[x509.Certificate]]:
    try:
        # RFC 7292 B.1: no password and an empty one derive different keys; None tries both. Not
        # `load_pkcs12`, whose result refuses keys for key agreement and encapsulation.
        return pkcs12.load_key_and_certificates(raw, password or None)
    except UnsupportedAlgorithm as error:
        raise KeyFileError("the file is protected with an unsupported algorithm") from error
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        if "password" in str(error).lower():
            raise KeyFileError(_WRONG if password else _MISSING) from error
        raise KeyFileError(_MALFORMED) from error


def _further_keys(bags: Iterable[bytes], password: bytes | None) -> Iterator[PrivateKeyTypes]:
    """Open what the library leaves out: every key but one (RFC 7292 4.2.2)."""
    for bag, secret in product(bags, (password or None, None)):
        try:
            yield read_private_key(bag, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue  # the library has said what the file's own key is; others are a bonus


def _read_pem(raw: bytes, password: bytes | None) -> _Contents:
    keys: list[PrivateKeyTypes] = []
    ders: list[bytes] = []
    for block in pem_blocks(raw):
        if block.label.endswith("CERTIFICATE"):
            ders.append(block.decode())
        elif block.label.endswith("PRIVATE KEY"):
            keys.append(_pem_key(block, password))
        elif block.label in _PKCS12_LABELS:
            return _read_pkcs12(block.decode(), password)
    return _contents(keys, ders)


def _pem_key(block: PemBlock, password: bytes | None) -> PrivateKeyTypes:
    encrypted = block.label == "ENCRYPTED PRIVATE KEY" or b"\nDEK-Info:" in block.raw
    if block.label == "ENCRYPTED PRIVATE KEY":
        refuse_costly(block.decode())
    if encrypted and not password:
        raise KeyFileError(_MISSING)
    secret = password if encrypted else None
    try:
        if block.label in _PKCS8_LABELS:
            return read_private_key(block.decode(), secret)
        return load_pem_private_key(block.raw, secret)
    except UnsupportedAlgorithm as error:
        raise KeyFileError("the private key is of an unsupported type") from error
    except (ValueError, TypeError, CertificateError) as error:
        # A wrong password shows as bad padding or as nonsense; there is no telling them apart.
        problem = _WRONG if encrypted else "the private key is malformed or inconsistent"
        raise KeyFileError(problem) from error


def _contents(keys: Sequence[PrivateKeyTypes], ders: Sequence[bytes]) -> _Contents:
    certificates: dict[Certificate, None] = {}
    left_out = []
    for der in ders:
        try:
            certificates[Certificate.from_der(der)] = None
        except CertificateError as error:
            left_out.append(f"a certificate was left out: {error}")
    return _Contents(tuple(keys), tuple(certificates), tuple(left_out))
