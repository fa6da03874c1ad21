"""The one test PKI: declare what a certificate shall be, get it with key, chain and files.

RFC 5280 4, RFC 8550 4.4, RFC 7292. Keys are made when first asked for and kept for the session,
one for each label; times are arguments with a fixed default, so nothing expires by the clock.
The default validity, 2020 to 2040, holds the clock of any machine the tests run on.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    padding,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.authority import general_name
from smime_proxy.certs.certificate import Certificate
from smime_proxy.cms import ber, der

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2040, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a time at which everything by default is valid

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
TLS_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

SigningKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)
_FileKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)
PrivateKey = (
    SigningKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
    | mlkem.MLKEM768PrivateKey
    | mlkem.MLKEM1024PrivateKey
)
_CURVES: dict[str, ec.EllipticCurve] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "brainpool": ec.BrainpoolP256R1(),
    "brainpool384": ec.BrainpoolP384R1(),
    "brainpool512": ec.BrainpoolP512R1(),
}
_EDWARDS: dict[str, Callable[[], PrivateKey]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
    "x448": x448.X448PrivateKey.generate,
}
_LATTICES: dict[str, Callable[[], PrivateKey]] = {
    "mldsa44": mldsa.MLDSA44PrivateKey.generate,
    "mldsa65": mldsa.MLDSA65PrivateKey.generate,
    "mldsa87": mldsa.MLDSA87PrivateKey.generate,
    "mlkem768": mlkem.MLKEM768PrivateKey.generate,
    "mlkem1024": mlkem.MLKEM1024PrivateKey.generate,
}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_RSA_WITH_SHA256 = bytes.fromhex("06092a864886f70d01010b")  # RFC 8017 appendix A.2.4
_WEAK_DIGESTS: dict[str, tuple[int, hashes.HashAlgorithm]] = {
    "md5": (4, hashes.MD5()),  # noqa: S303 - a bad one on purpose
    "sha1": (5, hashes.SHA1()),  # noqa: S303 - same
}
_serials = itertools.count(0x1001)


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key and what links it to its root (root excluded)."""

    certificate: Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.der

    def pem(self) -> bytes:
        """Give the certificate alone, as PEM."""
        return self.certificate.x509().public_bytes(serialization.Encoding.PEM)

    def chain_pem(self) -> bytes:
        """Give certificate and chain, as PEM."""
        return b"".join(
            c.x509().public_bytes(serialization.Encoding.PEM)
            for c in (self.certificate, *self.chain)
        )

    def key_pem(self, password: bytes | None = None) -> bytes:
        """Give the private key as PKCS #8 PEM, encrypted if there is a password."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _protection(password)
        )

    def key_der(self) -> bytes:
        """Give the private key as bare PKCS #8 DER."""
        return self.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def pkcs12(self, password: bytes | None = b"secret", *, legacy: bool = False) -> bytes:
        """Give key, certificate and chain as PKCS #12; `legacy`: 3DES and SHA-1, as old Windows."""
        encryption: serialization.KeySerializationEncryption = _protection(password)
        if legacy and password:
            encryption = (
                serialization.PrivateFormat.PKCS12.encryption_builder()
                .kdf_rounds(2048)
                .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
                .hmac_hash(hashes.SHA1())  # noqa: S303 - what the old files have
                .build(password)
            )
        # The library puts no other kinds into such files.
        assert isinstance(self.key, _FileKey)
        return pkcs12.serialize_key_and_certificates(
            b"test", self.key, self.certificate.x509(), [c.x509() for c in self.chain], encryption
        )


@cache
def key(kind: str = "rsa", label: str = "") -> PrivateKey:
    """Give the session's key of a kind and label, always the same one.

    `kind`: `rsa` (2048), `rsa1024`, `rsa3072` ..., `p256`, `p384`, `p521`, `brainpool` (256),
    `brainpool384` ..., `ed25519`, `ed448`, `x25519`, `x448`, `dsa` (2048),
    `mldsa44`, `mldsa65`, `mldsa87`, `mlkem768`, `mlkem1024`.
    """
    if kind in _EDWARDS:
        return _EDWARDS[kind]()
    if kind in _LATTICES:
        return _LATTICES[kind]()
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa") or 2048))


def rsa_key(label: str = "") -> rsa.RSAPrivateKey:
    """Give the session's RSA-2048 key of this label."""
    made = key("rsa", label)
    assert isinstance(made, rsa.RSAPrivateKey)
    return made


def root(
    name: str = "Test Root",
    *,
    kind: str = "rsa",
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
    **declared: object,
) -> Identity:
    """Make a self-signed authority; what `certify` takes may be declared."""
    return certify(
        None,
        name=name,
        kind=kind,
        not_before=not_before,
        not_after=not_after,
        **{"ca": True, "usage": ("key_cert_sign", "crl_sign"), "eku": None, **declared},  # type: ignore[arg-type]
    )


def intermediate(issuer: Identity, name: str = "Test Issuing CA", **declared: object) -> Identity:
    """Make an authority below another one."""
    return certify(
        issuer,
        name=name,
        **{"ca": True, "usage": ("key_cert_sign", "crl_sign"), "eku": None, **declared},  # type: ignore[arg-type]
    )


def person(issuer: Identity | None, *mailboxes: str, **declared: object) -> Identity:
    """Make an end entity for mailboxes, with its own key; without issuer it is self-signed."""
    first = mailboxes[0] if mailboxes else "Nobody"
    return certify(issuer, mailboxes=mailboxes, **{"name": first, **declared})  # type: ignore[arg-type]


def certify(
    issuer: Identity | None,
    *,
    name: str = "Test",
    mailboxes: Iterable[str] = (),
    kind: str = "rsa",
    label: str | None = None,
    ca: bool = False,
    path_length: int | None = None,
    usage: Sequence[str] | None = ("digital_signature", "key_encipherment", "key_agreement"),
    eku: Sequence[x509.ObjectIdentifier] | None = (EMAIL,),
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
    serial: int | None = None,
    weak_digest: str = "",
    subject: x509.Name | None = None,
    dn_address: str = "",
    raw_names: Sequence[x509.GeneralName] = (),
    name_constraints: x509.NameConstraints | None = None,
    identifiers: bool = True,
    basic_constraints: bool = True,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Identity:
    """Make any certificate.

    `label` picks the session key (default: the name, so that persons differ); `usage` is the
    names of the key usage bits or None for no extension; `raw_names` are put in the
    subjectAltName as they are; `extra` are (extension, critical); `weak_digest`: `md5`, `sha1`.
    """
    own_key = key(kind, name if label is None else label)
    named = _subject(name, dn_address) if subject is None else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .public_key(own_key.public_key())
        .serial_number(next(_serials) if serial is None else serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    wanted: list[tuple[x509.ExtensionType, bool]] = []
    if basic_constraints:
        wanted.append((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    if usage is not None:
        wanted.append((key_usage(*usage), True))
    if eku is not None:
        wanted.append((x509.ExtendedKeyUsage(list(eku)), False))
    names = [*(general_name(parse_mailbox(m)) for m in mailboxes), *raw_names]
    if names:
        wanted.append((x509.SubjectAlternativeName(names), False))
    if name_constraints is not None:
        wanted.append((name_constraints, True))
    if identifiers:
        wanted.extend(_identifiers(own_key, issuer.key if issuer else own_key))
    for extension, critical in (*wanted, *extra):
        builder = builder.add_extension(extension, critical=critical)
    above = issuer.certificate.x509().subject if issuer else named
    der = _sign(builder.issuer_name(above), issuer.key if issuer else own_key, weak_digest)
    return Identity(Certificate.from_der(der), own_key, _chain_above(issuer))


def of_version_1(certificate: bytes) -> bytes:
    """Give a certificate as it was before there were extensions; its issuer's signature is off."""
    parsed = asn1_x509.Certificate.load(certificate)
    parsed["tbs_certificate"]["version"] = "v1"
    parsed["tbs_certificate"]["extensions"] = None
    return bytes(parsed.dump(force=True))


def with_key_algorithm(certificate: bytes, algorithm: bytes) -> bytes:
    """Give the certificate with its RSA key for one scheme only; the issuer's signature is off."""
    old, _, signature = ber.read_only(certificate).children()
    fields = [field.encoding.tobytes() for field in old.children()]
    key = ber.read_only(fields[6]).children()[1].encoding.tobytes()
    fields[6] = der.element(der.SEQUENCE, algorithm, key)
    own = old.children()[2].encoding.tobytes()
    return der.element(
        der.SEQUENCE, der.element(der.SEQUENCE, *fields), own, signature.encoding.tobytes()
    )


def _subject(name: str, dn_address: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]
    if dn_address:
        attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, dn_address))
    return x509.Name(attributes)


def _identifiers(own: PrivateKey, above: PrivateKey) -> list[tuple[x509.ExtensionType, bool]]:
    assert isinstance(above, SigningKey)
    return [
        (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False),
    ]


def _sign(builder: x509.CertificateBuilder, signer: PrivateKey, weak_digest: str) -> bytes:
    assert isinstance(signer, SigningKey)
    with_digest = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey
    digest = hashes.SHA256() if isinstance(signer, with_digest) else None
    signed = builder.sign(signer, digest)
    der = signed.public_bytes(serialization.Encoding.DER)
    if not weak_digest:
        return der
    # The library refuses to sign with these, so the algorithm is exchanged and signed again.
    assert isinstance(signer, rsa.RSAPrivateKey)
    last_octet, algorithm = _WEAK_DIGESTS[weak_digest]
    weak_oid = _RSA_WITH_SHA256[:-1] + bytes([last_octet])
    tbs = signed.tbs_certificate_bytes.replace(_RSA_WITH_SHA256, weak_oid)
    signature = signer.sign(tbs, padding.PKCS1v15(), algorithm)
    der = der.replace(signed.tbs_certificate_bytes, tbs).replace(signed.signature, signature)
    return der.replace(_RSA_WITH_SHA256, weak_oid)


def key_usage(*bits: str) -> x509.KeyUsage:
    """Make the key usage extension with exactly these bits, in the library's names."""
    return x509.KeyUsage(**{bit: bit in bits for bit in _USAGES})


def _chain_above(issuer: Identity | None) -> tuple[Certificate, ...]:
    if issuer is None or issuer.certificate.is_self_signed:
        return ()
    return (issuer.certificate, *issuer.chain)


def _protection(password: bytes | None) -> serialization.KeySerializationEncryption:
    if not password:
        return serialization.NoEncryption()
    return serialization.BestAvailableEncryption(password)
