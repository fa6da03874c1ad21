"""The product of algorithms that peers are tried with: the rows of the matrix.

RFC 8017, 4056, 5754, 8419, 9882 (signatures); RFC 3370, 3560, 5753, 8418, 9936, 5652 6.2
(key management); RFC 3370, 3565, 5083, 5084, 8103 (content). A row is printed; its variants are all
tried, so that a cell stands for a product of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

SHA2 = ("sha224", "sha256", "sha384", "sha512")
SHA3 = ("sha3-224", "sha3-256", "sha3-384", "sha3-512")
KDF_DIGESTS = ("sha1", *SHA2)
WRAPS = ("aes128", "aes192", "aes256", "3des")
RSA_KINDS = {"rsa": "RSA-2048", "rsa3072": "RSA-3072", "rsa4096": "RSA-4096"}
CURVES = {
    "p256": "P-256",
    "p384": "P-384",
    "p521": "P-521",
    "brainpool": "brainpoolP256r1",
    "brainpool384": "brainpoolP384r1",
    "brainpool512": "brainpoolP512r1",
}
MONTGOMERY = {"x25519": "X25519", "x448": "X448"}
EDWARDS = {"ed25519": "Ed25519", "ed448": "Ed448"}
LATTICES = {"mldsa65": "ML-DSA-65", "mlkem768": "ML-KEM-768"}
KINDS = (*RSA_KINDS, *CURVES, *MONTGOMERY, *EDWARDS, "dsa", *LATTICES)

DIGEST_OCTETS = {
    "sha1": 20,
    **{name: int(name[-3:]) // 8 for name in (*SHA2, *SHA3)},
}
MODULUS_OCTETS = {"rsa": 256, "rsa3072": 384, "rsa4096": 512}


@dataclass(frozen=True, slots=True)
class Signature:
    """How to sign: with whose key, over which digest; `salt` in octets and `mgf` for PSS alone."""

    kind: str
    digest: str
    opaque: bool = False
    salt: int | None = None
    mgf: str = ""

    def __str__(self) -> str:
        pss = f"PSS {self.salt} {self.mgf}" if self.pss else ""
        words = (self.kind, self.digest, pss, "opaque" if self.opaque else "clear")
        return " ".join(filter(None, words))

    @property
    def pss(self) -> bool:
        return self.salt is not None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One reader and the way the content key goes.

    `way` is of `pkcs1v15`, `oaep`, `ecdh`, `kem`, `kek` and `password`. `digest` is OAEP's or of
    the key derivation (`hkdf-` before it for RFC 8418), `mgf` and `label` are OAEP's, the rest
    belongs to key agreement.
    """

    kind: str
    way: str = "pkcs1v15"
    digest: str = ""
    mgf: str = ""
    label: str = ""
    wrap: str = ""
    cofactor: bool = False
    ukm: str = ""

    def __str__(self) -> str:
        cofactor = "cofactor" if self.cofactor else ""
        words = (self.kind, self.way, self.digest, self.mgf, self.label, self.wrap, cofactor)
        return " ".join(filter(None, (*words, self.ukm)))


@dataclass(frozen=True, slots=True)
class Encryption:
    """How to encrypt; `structure` is `enveloped` or `auth`, empty for the cipher's own."""

    readers: tuple[Recipient, ...]
    cipher: str = ""  # any: AES-256-CBC where the peer lets one choose
    structure: str = ""
    attributes: bool = False  # authenticated ones, RFC 5083 2.1

    def __str__(self) -> str:
        attributes = "attributes" if self.attributes else ""
        words = (
            self.cipher,
            self.structure,
            attributes,
            "for",
            " and ".join(map(str, self.readers)),
        )
        return " ".join(filter(None, words))

    @property
    def authenticated(self) -> bool:
        """Tell whether AuthEnvelopedData is meant."""
        return self.structure == "auth" or (not self.structure and self.aead)

    @property
    def aead(self) -> bool:
        """Tell whether the content cipher authenticates."""
        return self.cipher.endswith(("_gcm", "_ccm", "_poly1305"))


Variant = Signature | Encryption


V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Row(Generic[V_co]):
    """A line of the matrix: what it is called, and all that is tried for it."""

    section: str
    label: str
    variants: tuple[V_co, ...]


def rows() -> tuple[Row[Variant], ...]:
    """Give the rows in the order in which they are printed."""
    return (*_signatures(), *_key_management(), *_content())


def _signatures() -> Iterator[Row[Variant]]:
    digests = {"SHA-2": SHA2, "SHA-3": SHA3, "SHA-1": ("sha1",)}
    for kind, name in RSA_KINDS.items():
        for family, members in digests.items():
            yield _signed(f"{name} PKCS#1 v1.5, {family}", [(kind, one) for one in members])
    for kind, name in RSA_KINDS.items():
        yield _pss(f"{name} PSS, salt as long as the digest", kind, SHA2)
    yield _pss("RSA-2048 PSS, SHA-3", "rsa", SHA3)
    yield _pss("RSA-2048 PSS, SHA-1", "rsa", ("sha1",))
    yield _pss("RSA-2048 PSS, salt of 20 octets", "rsa", SHA2[1:], salt=20)
    yield _pss("RSA-2048 PSS, no salt", "rsa", SHA2[1:], salt=0)
    yield _pss("RSA-2048 PSS, longest salt", "rsa", SHA2[1:], salt=-1)
    yield _pss("RSA-2048 PSS, MGF1 with SHA-1", "rsa", SHA2[1:], mgf="sha1")
    for kind, name in CURVES.items():
        for family, members in digests.items():
            yield _signed(f"ECDSA {name}, {family}", [(kind, one) for one in members])
    yield _signed("Ed25519", [("ed25519", "sha512")])
    yield _signed("Ed448", [("ed448", "shake256")])
    yield _signed("ML-DSA-65", [("mldsa65", "sha512")])
    yield _signed("DSA-2048", [("dsa", one) for one in ("sha1", "sha224", "sha256")])


def _signed(label: str, pairs: list[tuple[str, str]]) -> Row[Variant]:
    return Row(
        "Signatures",
        label,
        tuple(Signature(*pair, opaque) for pair, opaque in product(pairs, (False, True))),
    )


def _pss(
    label: str, kind: str, digests: tuple[str, ...], *, salt: int | None = None, mgf: str = ""
) -> Row[Variant]:
    return Row(
        "Signatures",
        label,
        tuple(
            Signature(kind, digest, opaque, _salt(kind, digest, salt), mgf or digest)
            for digest, opaque in product(digests, (False, True))
        ),
    )


def _salt(kind: str, digest: str, wanted: int | None) -> int:
    if wanted is None:
        return DIGEST_OCTETS[digest]
    # RFC 8017 9.1.1: what the modulus leaves beside digest and two octets.
    return MODULUS_OCTETS[kind] - DIGEST_OCTETS[digest] - 2 if wanted < 0 else wanted


def _key_management() -> Iterator[Row[Variant]]:
    for kind, name in RSA_KINDS.items():
        yield _sealed(f"{name} PKCS#1 v1.5", [Recipient(kind)])
    for digest in KDF_DIGESTS:
        mgfs = [Recipient("rsa", "oaep", digest, mgf) for mgf in KDF_DIGESTS]
        yield _sealed(f"RSA-2048 OAEP {digest}, MGF1 sha1 to sha512", mgfs)
    for kind in ("rsa3072", "rsa4096"):
        same = [Recipient(kind, "oaep", digest, digest) for digest in KDF_DIGESTS]
        yield _sealed(f"{RSA_KINDS[kind]} OAEP sha1 to sha512, MGF1 alike", same)
    labelled = [Recipient("rsa", "oaep", digest, digest, "a label") for digest in KDF_DIGESTS]
    yield _sealed("RSA-2048 OAEP sha1 to sha512, with a label", labelled)
    for (kind, name), cofactor in product(CURVES.items(), (False, True)):
        scheme = "cofactor" if cofactor else "standard"
        yield _sealed(f"ECDH {name} {scheme}, KDF sha1 to sha512 x wrap", _agreed(kind, cofactor))
    yield _sealed("ECDH P-256 with ukm, KDF sha1 to sha512 x wrap", _agreed("p256", ukm="material"))
    for kind, name in MONTGOMERY.items():
        hkdf = [
            Recipient(kind, "ecdh", f"hkdf-{digest}", wrap=wrap)
            for digest, wrap in product(SHA2[1:], WRAPS[:3])
        ]
        x963 = [
            Recipient(kind, "ecdh", digest, wrap=wrap)
            for digest, wrap in product(SHA2[1:], WRAPS[:3])
        ]
        yield _sealed(f"{name}, HKDF sha256 to sha512 x AES wrap", hkdf)
        yield _sealed(f"{name}, X9.63 KDF sha256 to sha512 x AES wrap", x963)
    yield _sealed("ML-KEM-768", [Recipient("mlkem768", "kem")])
    yield _sealed("Key-encryption key (kekri)", [Recipient("", "kek")])
    yield _sealed("Password (pwri)", [Recipient("", "password")])


def _agreed(kind: str, cofactor: bool = False, ukm: str = "") -> list[Recipient]:
    return [
        Recipient(kind, "ecdh", digest, wrap=wrap, cofactor=cofactor, ukm=ukm)
        for digest, wrap in product(KDF_DIGESTS, WRAPS)
    ]


def _sealed(label: str, readers: list[Recipient]) -> Row[Variant]:
    return Row("Key management", label, tuple(Encryption((reader,)) for reader in readers))


def _content() -> Iterator[Row[Variant]]:
    names = {
        **{f"aes{bits}_cbc": f"AES-{bits}-CBC" for bits in (128, 192, 256)},
        "tripledes_3key": "3DES-CBC",
        **{f"rc2_{bits}": f"RC2-{bits}-CBC" for bits in (128, 64, 40)},
        **{f"aes{bits}_gcm": f"AES-{bits}-GCM" for bits in (128, 192, 256)},
        **{f"aes{bits}_ccm": f"AES-{bits}-CCM" for bits in (128, 192, 256)},
        "chacha20_poly1305": "ChaCha20-Poly1305",
    }
    for cipher, name in names.items():
        wrap = "aes128" if "128" in name else "aes256"
        rsa = [Encryption((Recipient(kind),), cipher) for kind in RSA_KINDS]
        curve = Encryption((Recipient("p256", "ecdh", "sha256", wrap=wrap),), cipher)
        yield Row("Content", f"{name}, to RSA-2048 to -4096", tuple(rsa))
        if cipher not in {"rc2_64", "rc2_40"}:  # RFC 3394 2 wraps no key of less than 16 octets
            yield Row("Content", f"{name}, to P-256", (curve,))
    for cipher, name in names.items():
        plain = Encryption((Recipient("rsa"),), cipher, "enveloped")
        if plain.aead:
            yield Row("Content", f"{name} inside EnvelopedData", (plain,))
    attributed = Encryption((Recipient("rsa"),), "aes256_gcm", attributes=True)
    yield Row("Content", "AES-256-GCM with authenticated attributes", (attributed,))
