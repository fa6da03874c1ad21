"""What peers do not have, as measured: each entry is tried, must be refused, and with these words.

An entry that a peer of the version measured does after all fails the test, so that nothing is
hidden behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.interop.algorithms import (
    CURVES,
    DIGEST_OCTETS,
    EDWARDS,
    KINDS,
    MONTGOMERY,
    RSA_KINDS,
    Encryption,
    Signature,
)
from tests.interop.forms import Form
from tests.interop.peer import Peer

# Other versions may know more or less, and say it in other words.
MEASURED = {"OpenSSL": "3.0.", "gpgsm": "2.2.40", "NSS": "3.87", "Bouncy Castle": "1.72"}

Variant = Signature | Encryption | Form


@dataclass(frozen=True, slots=True)
class Reason:
    """What a peer does not have, what it says when asked, and how that is put to people."""

    holds: Callable[[Variant], bool]
    says: str | tuple[str, ...]  # any of these
    text: str

    def fits(self, refusal: str) -> bool:
        """Tell whether the peer declined with the words expected."""
        words = (self.says,) if isinstance(self.says, str) else self.says
        return any(word in refusal for word in words)


def as_measured(peer: Peer) -> bool:
    """Tell whether a peer is of the version that the entries speak of."""
    return peer.version().startswith(MEASURED[peer.name])


def reasons_for(peer: str, way: str, variant: Variant) -> list[Reason]:
    """Give the entries that speak of a variant."""
    return [one for one in REASONS.get((peer, way), ()) if one.holds(variant)]


def _signature(
    *kinds: str, digest: str | tuple[str, ...] = "", pss: bool | None = None
) -> Callable[[Variant], bool]:
    """Speak of signatures by kinds of keys and how the name of the digest begins."""

    def holds(variant: Variant) -> bool:
        return (
            isinstance(variant, Signature)
            and variant.kind in kinds
            and variant.digest.startswith(digest)
            and pss in {None, variant.pss}
        )

    return holds


def _mgf(variant: Variant) -> bool:
    return isinstance(variant, Signature) and variant.pss and variant.mgf != variant.digest


def _short_digest(variant: Variant) -> bool:
    """Speak of SHA-1 and SHA-2 shorter than the order of the curve, or than SHA-512."""
    return (
        isinstance(variant, Signature)
        and variant.kind in ORDER_BITS
        and not variant.digest.startswith("sha3-")
        and 8 * DIGEST_OCTETS[variant.digest] < min(ORDER_BITS[variant.kind], 512)
    )


def _reader(way: str, *kinds: str) -> Callable[[Variant], bool]:
    """Speak of encryption to one of these kinds in a way."""

    def holds(variant: Variant) -> bool:
        return isinstance(variant, Encryption) and any(
            one.way == way and one.kind in kinds for one in variant.readers
        )

    return holds


def _cipher(*names: str) -> Callable[[Variant], bool]:
    """Speak of content ciphers by the ends of their names."""

    def holds(variant: Variant) -> bool:
        return isinstance(variant, Encryption) and variant.cipher.endswith(names)

    return holds


def _authenticated(variant: Variant) -> bool:
    """Speak of AuthEnvelopedData."""
    return isinstance(variant, Encryption) and variant.authenticated


def _no_cipher(*names: str) -> Callable[[Variant], bool]:
    found = _cipher(*names)
    return lambda variant: not found(variant)


def _agreed_by(digest: str) -> Callable[[Variant], bool]:
    """Speak of key derivation by how the name of its digest begins."""

    def holds(variant: Variant) -> bool:
        return isinstance(variant, Encryption) and any(
            one.digest.startswith(digest) for one in variant.readers
        )

    return holds


def _all(*parts: Callable[[Variant], bool]) -> Callable[[Variant], bool]:
    return lambda variant: all(part(variant) for part in parts)


def _form(*labels: str) -> Callable[[Variant], bool]:
    def holds(variant: Variant) -> bool:
        return isinstance(variant, Form) and variant.label in labels

    return holds


ORDER_BITS = {
    "p256": 256,
    "p384": 384,
    "p521": 521,
    "brainpool": 256,
    "brainpool384": 384,
    "brainpool512": 512,
}
RSA = tuple(RSA_KINDS)
BRAINPOOL = ("brainpool", "brainpool384", "brainpool512")
ALL = KINDS
NO_SHA3 = "OpenSSL 3.0 signs with SHA-3 by RSA PKCS#1 v1.5 alone"

REASONS: Mapping[tuple[str, str], Sequence[Reason]] = {
    ("OpenSSL", "theirs"): (
        Reason(_signature("mldsa65"), "Could not read signing key", "OpenSSL 3.0 has no ML-DSA"),
        Reason(_reader("kem", "mlkem768"), "error getting public key", "OpenSSL 3.0 has no ML-KEM"),
        Reason(_signature(*CURVES, digest="sha3-"), "unsupported signature algorithm", NO_SHA3),
        Reason(
            _signature(*RSA, digest="sha3-", pss=True),
            "rsa_generate_signature_aid:internal error",
            NO_SHA3,
        ),
        Reason(
            _signature(*EDWARDS), "CMS_final:cms datafinal error", "OpenSSL 3.0 has no EdDSA in CMS"
        ),
        Reason(
            _reader("ecdh", *MONTGOMERY),
            "operation not supported for this keytype",
            "OpenSSL 3.0 has no X25519 and X448 in CMS",
        ),
        Reason(
            _cipher("_ccm"),
            "cipher parameter initialisation error",
            "OpenSSL 3.0 has no AES-CCM in CMS",
        ),
        Reason(
            _cipher("_poly1305"),
            "unsupported content encryption algorithm",
            "OpenSSL 3.0 has no ChaCha20-Poly1305 in CMS",
        ),
        Reason(
            _form("Compressed", "Compressed, then encrypted"),
            "unsupported compression algorithm",
            "Debian builds OpenSSL without zlib",
        ),
    ),
    ("OpenSSL", "ours"): (
        Reason(_signature("mldsa65"), "certificate verify error", "OpenSSL 3.0 has no ML-DSA"),
        Reason(
            _reader("kem", "mlkem768"), "Could not read signing key", "OpenSSL 3.0 has no ML-KEM"
        ),
        Reason(
            _signature("ed25519"),
            "eddsa_digest_signverify_init:invalid digest",
            "OpenSSL 3.0 has no EdDSA in CMS",
        ),
        Reason(_signature("ed448"), "unknown digest algorithm", "OpenSSL 3.0 has no EdDSA in CMS"),
        Reason(
            _reader("ecdh", *MONTGOMERY),
            "no matching recipient",
            "OpenSSL 3.0 has no X25519 and X448 in CMS",
        ),
        Reason(
            _cipher("_poly1305"), "unknown cipher", "OpenSSL 3.0 has no ChaCha20-Poly1305 in CMS"
        ),
    ),
    ("gpgsm", "theirs"): (
        Reason(_signature("mldsa65"), "No secret key", "gpgsm 2.2 has no ML-DSA"),
        Reason(
            _reader("kem", "mlkem768"), "not suitable for encryption", "gpgsm 2.2 has no ML-KEM"
        ),
        Reason(
            _signature(*ALL, digest="sha3-"),
            "selected digest algorithm is invalid",
            "gpgsm 2.2 knows no SHA-3",
        ),
        Reason(
            _short_digest,
            "error creating signature: Invalid length",
            "gpgsm 2.2 signs no digest shorter than the order of the curve",
        ),
        Reason(
            _signature("ed25519"),
            "ksba_cms_build failed: Invalid OID string",
            "gpgsm 2.2 has no EdDSA",
        ),
        Reason(
            _signature("ed448"), "selected digest algorithm is invalid", "gpgsm 2.2 has no EdDSA"
        ),
        Reason(
            _signature("dsa", digest=("sha1", "sha224")),
            "error creating signature: Invalid length",
            "gpgsm 2.2 has no DSA",
        ),
        Reason(
            _signature("dsa", digest="sha256"),
            "ksba_cms_build failed: Invalid OID string",
            "gpgsm 2.2 has no DSA",
        ),
        Reason(
            _all(_reader("ecdh", *CURVES, *MONTGOMERY), _no_cipher("_ccm")),
            ("ksba_cms_set_enc_val failed", "encryption failed for recipient no. 0"),
            "gpgsm 2.2 has no key agreement",
        ),
        Reason(
            _cipher("rc2_128", "rc2_64", "rc2_40", "_poly1305"),
            "selected cipher algorithm is invalid",
            "gpgsm 2.2 has no RC2 and no ChaCha20-Poly1305",
        ),
        Reason(
            _all(_cipher("_gcm"), _reader("pkcs1v15", *RSA)),
            "error getting authtag: No data",
            "gpgsm 2.2 writes GCM without a tag, and cannot read that itself",
        ),
        Reason(
            _cipher("_ccm"),
            "failed to create the session key: Invalid length",
            "gpgsm 2.2 has no CCM",
        ),
    ),
    ("gpgsm", "ours"): (
        Reason(_signature("mldsa65"), "no signature value available", "gpgsm 2.2 has no ML-DSA"),
        Reason(
            _reader("kem", "mlkem768"), "error getting info: No value", "gpgsm 2.2 has no ML-KEM"
        ),
        Reason(
            _signature("p521"),
            "hash length to be a multiple of 8 bits",
            "gpgsm 2.2 takes the 521 bits of P-521 for the length of a digest",
        ),
        Reason(_signature("ed25519"), "invalid signature", "gpgsm 2.2 has no EdDSA"),
        Reason(_signature("ed448"), "unknown hash algorithm", "gpgsm 2.2 has no EdDSA"),
        Reason(
            _reader("oaep", *RSA), "error getting encrypted session key", "gpgsm 2.2 has no OAEP"
        ),
        Reason(
            _all(_reader("ecdh", *CURVES), _no_cipher("_gcm", "_poly1305")),
            "decrypting session key failed: Invalid session key",
            "gpgsm 2.2 has no key agreement",
        ),
        Reason(
            _reader("ecdh", *MONTGOMERY),
            "error getting encrypted session key",
            "gpgsm 2.2 has no key agreement",
        ),
        Reason(
            _cipher("_gcm"),
            "error getting IV: Buffer too short",
            "gpgsm 2.2 does not read the parameters of GCM",
        ),
        Reason(_cipher("_poly1305"), "Unsupported algorithm", "gpgsm 2.2 has no ChaCha20-Poly1305"),
    ),
    ("NSS", "theirs"): (
        Reason(_signature("mldsa65"), "problem signing", "NSS 3.87 has no ML-DSA"),
        Reason(_reader("kem", "mlkem768"), "problem enveloping", "NSS 3.87 has no ML-KEM"),
        Reason(
            _signature(*ALL, digest=("sha224", "sha3-", "shake")),
            "-H requires one of MD2,MD4,MD5,SHA1,SHA256,SHA384,SHA512",
            "cmsutil signs with SHA-1 and SHA-256 to SHA-512 alone",
        ),
        Reason(
            _signature(*BRAINPOOL, digest=("sha1", "sha256", "sha384", "sha512")),
            "SEC_ERROR_INVALID_KEY",
            "NSS 3.87 has no brainpool",
        ),
        Reason(
            _signature("ed25519"),
            "problem signing",
            "NSS 3.87 has no EdDSA in CMS, and stores no such keys",
        ),
        Reason(
            _reader("ecdh", *CURVES),
            "cannot create CMS recipientInfo object",
            "NSS 3.87 has no key agreement in CMS",
        ),
        Reason(
            _form("RSA-2048 to -4096, P-256 to -521, brainpool together"),
            "cannot create CMS recipientInfo object",
            "NSS 3.87 has no key agreement in CMS",
        ),
    ),
    ("NSS", "ours"): (
        Reason(_signature("mldsa65"), "status=ProcessingError", "NSS 3.87 has no ML-DSA"),
        Reason(_reader("kem", "mlkem768"), "SEC_ERROR_BAD_DER", "NSS 3.87 has no ML-KEM"),
        Reason(_signature(*BRAINPOOL), "status=BadSignature", "NSS 3.87 has no brainpool"),
        Reason(
            _signature(*EDWARDS),
            "status=ProcessingError",
            "NSS 3.87 has no EdDSA in CMS, and stores no such keys",
        ),
        Reason(
            _reader("oaep", *RSA), "SEC_ERROR_UNSUPPORTED_KEYALG", "NSS 3.87 has no OAEP in CMS"
        ),
        Reason(
            _all(_reader("ecdh", *CURVES, *MONTGOMERY), _no_cipher("_gcm", "_poly1305")),
            "SEC_ERROR_BAD_DER",
            "NSS 3.87 has no key agreement in CMS",
        ),
        Reason(
            _form("RSA-2048 to -4096, P-256 to -521, brainpool together"),
            "SEC_ERROR_BAD_DER",
            "NSS 3.87 reads no message in which somebody else has key agreement",
        ),
        Reason(
            _cipher("_gcm", "_poly1305"),
            "SEC_ERROR_UNRECOGNIZED_OID",
            "NSS 3.87 has no AuthEnvelopedData",
        ),
    ),
    ("Bouncy Castle", "theirs"): (
        Reason(
            _signature("mldsa65"), 'getPublicKey()" is null', "Bouncy Castle 1.72 has no ML-DSA"
        ),
        Reason(
            _reader("kem", "mlkem768"), "NullPointerException", "Bouncy Castle 1.72 has no ML-KEM"
        ),
        Reason(_mgf, "cannot create signer", "Bouncy Castle 1.72 wants the same digest in MGF1"),
        Reason(
            _all(_reader("ecdh", *MONTGOMERY), _agreed_by("hkdf-")),
            "Unknown key agreement algorithm",
            "Bouncy Castle 1.72 has no X25519 and X448 in CMS",
        ),
        Reason(
            _all(_reader("ecdh", *MONTGOMERY), _agreed_by("sha")),
            "can't identify EC private key",
            "Bouncy Castle 1.72 has no X25519 and X448 in CMS",
        ),
        Reason(
            _all(_cipher("_poly1305"), _authenticated),
            "OutputAEADEncryptor",
            "Bouncy Castle 1.72 has no ChaCha20-Poly1305 in AuthEnvelopedData",
        ),
    ),
    ("Bouncy Castle", "ours"): (
        Reason(
            _signature("mldsa65"),
            "Unknown signature type requested",
            "Bouncy Castle 1.72 has no ML-DSA",
        ),
        Reason(
            _reader("kem", "mlkem768"),
            'getPublicKey()" is null',
            "Bouncy Castle 1.72 has no ML-KEM",
        ),
        Reason(
            _reader("ecdh", *MONTGOMERY),
            "originator key invalid",
            "Bouncy Castle 1.72 has no X25519 and X448 in CMS",
        ),
    ),
}
