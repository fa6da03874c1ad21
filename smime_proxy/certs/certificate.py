"""One certificate as a value: read once, every accessor guarded, cheap enough for a directory.

RFC 5280 4 (profile), RFC 8550 3 and 4.4 (S/MIME names and extensions), RFC 9598 (SmtpUTF8Mailbox).
"""

import enum
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.certs.errors import CertificateError, one_line
from smime_proxy.certs.extensions import Extensions, read_extensions
from smime_proxy.certs.keys import NO_KEY, KeyFacts, key_facts, weakness_of_key
from smime_proxy.certs.names import name_key, read_element
from smime_proxy.certs.pem import MAX_FILE_OCTETS, looks_like_pem, pem_blocks
from smime_proxy.certs.public_key import encrypts_only, public_key, signs_only

MAX_CERTIFICATE_OCTETS = 100_000  # largest seen in mail 9 kB; a post-quantum one has about 20 kB

WEAK_DIGESTS = frozenset({"md2", "md4", "md5", "sha1"})
_CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_PKCS7_LABELS = frozenset({"PKCS7", "CMS"})
_OBJECT_IDENTIFIER = 0x06
_INTEGER = b"\x02"
_INDEFINITE = 0x80  # length octet, X.690 8.1.3.6
_VERSION_TAG = 0xA0  # RFC 5280 4.1: version is [0] EXPLICIT
# What `cryptography` raises on odd certificates: measured on 1,038 of them, 105 raise somewhere.
LIBRARY_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
    OverflowError,
)

T = TypeVar("T")


class Validity(enum.Enum):
    """Where a time lies in the dates of a certificate (RFC 5280 4.1.2.5, both ends included)."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate; equal to another when their SHA-256 fingerprints are.

    `mailboxes` are the clean addresses of the subjectAltName, `dn_mailboxes` those of the subject
    (RFC 8550 3: legacy); `defects` says what was unreadable or is no identity. `subject_key` and
    `issuer_key` compare names by value (RFC 5280 7.1). `capabilities` are SMIMECapabilities in DER,
    unread (RFC 4262), b"" without any. `key_size` is in bits. `weak_key` says why
    its key is not to be relied on, `weak` also counts what it was signed with; "" is strong.
    """

    fingerprint: str
    der: bytes = field(compare=False, repr=False)
    version: int = field(compare=False)
    serial: int = field(compare=False)
    subject: str = field(compare=False)
    issuer: str = field(compare=False)
    subject_key: bytes = field(compare=False, repr=False)
    issuer_key: bytes = field(compare=False, repr=False)
    not_before: datetime = field(compare=False)
    not_after: datetime = field(compare=False)
    ski: bytes | None = field(compare=False, repr=False)
    aki: bytes | None = field(compare=False, repr=False)
    mailboxes: tuple[Mailbox, ...] = field(compare=False)
    dn_mailboxes: tuple[Mailbox, ...] = field(compare=False)
    capabilities: bytes = field(compare=False, repr=False)
    is_ca: bool = field(compare=False)
    key_type: str = field(compare=False)
    key_size: int = field(compare=False)
    curve: str = field(compare=False)
    may_sign: bool = field(compare=False)
    may_encrypt: bool = field(compare=False)
    may_issue: bool = field(compare=False)
    signature_digest: str = field(compare=False)
    weak_key: str = field(compare=False)
    weak: str = field(compare=False)
    defects: tuple[str, ...] = field(compare=False)

    @classmethod
    def from_der(cls, der: bytes) -> "Certificate":
        """Read one certificate, forgiving everything but its frame (RFC 5280 4.1).

        Unreadable extensions or keys make a certificate that may do nothing and says so in
        `defects`. Raises `CertificateError` when version, serial, names or dates are unreadable.
        """
        return _read(der)

    @property
    def is_self_signed(self) -> bool:
        """Tell whether it names itself as issuer; the signature is not checked (RFC 5280 3.2)."""
        same_key = self.aki is None or self.ski is None or self.aki == self.ski
        return self.subject_key == self.issuer_key and same_key

    @property
    def subject_der(self) -> bytes:
        """Give the encoded subject, cut out of the certificate (RFC 5280 4.1.2.6)."""
        return _name_ders(self.der)[1]

    def valid_at(self, at: datetime) -> Validity:
        """Compare a time, aware UTC, with the dates of the certificate (RFC 5280 4.1.2.5)."""
        if at < self.not_before:
            return Validity.NOT_YET_VALID
        return Validity.EXPIRED if at > self.not_after else Validity.VALID

    def identities(self, *, dn_address: bool = False) -> tuple[Mailbox, ...]:
        """Give the mailboxes it stands for; with `dn_address` the subject's if it has no other.

        RFC 8550 3: the emailAddress of the subject is legacy, and counts only without a
        subjectAltName mailbox.
        """
        return self.dn_mailboxes if dn_address and not self.mailboxes else self.mailboxes

    def with_subject_address(self) -> "Certificate":
        """Give it with the subject's address as its mailbox where it names no other (E73).

        One that has an address nobody can read, or too many names, has named others.
        """
        if self.mailboxes or self.defects:
            return self
        return replace(self, mailboxes=self.dn_mailboxes)

    def carries(self, mailbox: Mailbox, *, dn_address: bool = False) -> bool:
        """Tell whether it names exactly this mailbox, compared by `Mailbox.key`."""
        return mailbox in self.identities(dn_address=dn_address)

    def x509(self) -> x509.Certificate:
        """Give the library's object, loaded anew (2 us) so that directories stay small."""
        return x509.load_der_x509_certificate(self.der)

    def public_key(self) -> CertificatePublicKeyTypes:
        """Give the public key; raises `CertificateError` when the library cannot read it."""
        try:
            return public_key(self.x509())
        except LIBRARY_ERRORS as error:
            raise CertificateError("the public key is unreadable or of an unknown type") from error


def read_certificates(raw: bytes) -> tuple[Certificate, ...]:
    """Read every certificate of a file once, in its order.

    PEM with any number of blocks, one in DER, or certs-only PKCS #7 in DER or BER (RFC 8551 3.8).
    Raises `CertificateError` when there is none, or one of them is unreadable.
    """
    if len(raw) > MAX_FILE_OCTETS:
        raise CertificateError(f"the file is larger than {MAX_FILE_OCTETS} octets")
    ders = list(_pem_certificates(raw) if looks_like_pem(raw) else _bare_certificates(raw))
    if not ders:
        raise CertificateError("the file holds no certificate")
    return tuple(dict.fromkeys(_read_nth(der, nth) for nth, der in enumerate(ders, 1)))


def _read_nth(der: bytes, nth: int) -> Certificate:
    try:
        return Certificate.from_der(der)
    except CertificateError as error:
        raise CertificateError(f"certificate {nth} of the file: {error}") from error


def _pem_certificates(raw: bytes) -> Iterator[bytes]:
    for block in pem_blocks(raw):
        if block.label in _CERTIFICATE_LABELS:
            yield block.decode()
        elif block.label in _PKCS7_LABELS:
            yield from _pkcs7_certificates(block.decode())


def _bare_certificates(raw: bytes) -> Iterator[bytes]:
    # A ContentInfo starts with an OID, a certificate with another SEQUENCE (RFC 5652 3).
    try:
        at = 2 if raw[1] == _INDEFINITE else read_element(raw, 0)[1]
        is_pkcs7 = raw[at] == _OBJECT_IDENTIFIER
    except (ValueError, IndexError):
        raise CertificateError("the file is neither PEM nor DER") from None
    if is_pkcs7:
        yield from _pkcs7_certificates(raw)
    elif raw[at : at + 1] == _INTEGER:  # the version of a PFX, RFC 7292 4; a key starts so too
        raise CertificateError("the file holds a private key, not just a certificate")
    else:
        yield raw


def _pkcs7_certificates(der: bytes) -> Iterator[bytes]:
    try:
        content = asn1_cms.ContentInfo.load(der)
        certificates = content["content"]["certificates"] or ()
        ders = [
            bytes(choice.chosen.dump()) for choice in certificates if choice.name == "certificate"
        ]
    except Exception as error:  # asn1crypto raises many kinds on malformed input
        raise CertificateError("the PKCS #7 file is malformed") from error
    yield from ders


def _read(der: bytes) -> Certificate:
    if len(der) > MAX_CERTIFICATE_OCTETS:
        raise CertificateError(f"a certificate of more than {MAX_CERTIFICATE_OCTETS} octets")
    try:
        parsed = x509.load_der_x509_certificate(der)
        version = parsed.version.value + 1
        not_before, not_after = parsed.not_valid_before_utc, parsed.not_valid_after_utc
        issuer_der, subject_der = _name_ders(der)
    except (*LIBRARY_ERRORS, IndexError) as error:
        raise CertificateError(f"not a readable certificate: {one_line(error)}") from error
    defects: list[str] = []
    extensions = _guard(lambda: read_extensions(parsed.extensions), None, "extensions", defects)
    if extensions is None:
        extensions = Extensions.nothing_allowed()
    key = _guard(lambda: key_facts(public_key(parsed)), NO_KEY, "public key", defects)
    digest = _guard(lambda: _digest_name(parsed), "unknown", "signature algorithm", defects)
    subject = _guard(lambda: str(parsed.subject.rfc4514_string()), "", "subject", defects)
    nobody: tuple[str, ...] = ()
    dn_addresses = _guard(lambda: _dn_addresses(parsed), nobody, "subject address", defects)
    subject_key, issuer_key = name_key(subject_der), name_key(issuer_der)
    return Certificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        der=der,
        version=version,
        serial=parsed.serial_number,
        subject=subject,
        issuer=_guard(lambda: str(parsed.issuer.rfc4514_string()), "", "issuer", defects),
        subject_key=subject_key,
        issuer_key=issuer_key,
        not_before=not_before,
        not_after=not_after,
        ski=extensions.ski,
        aki=extensions.aki,
        mailboxes=_clean(extensions.addresses, defects),
        dn_mailboxes=_clean(dn_addresses, defects),
        capabilities=extensions.capabilities,
        is_ca=extensions.is_ca,
        key_type=key.kind,
        key_size=key.size,
        curve=key.curve,
        may_sign=extensions.allows_signing(key.kind) and not encrypts_only(parsed),
        may_encrypt=extensions.allows_encryption(key.kind) and not signs_only(parsed),
        may_issue=extensions.allows_issuing,
        signature_digest=digest,
        weak_key=weakness_of_key(key),
        weak=_weakness(key, digest, self_issued=subject_key == issuer_key),
        defects=(*extensions.defects, *defects),
    )


def _guard(read: Callable[[], T], otherwise: T, what: str, defects: list[str]) -> T:
    try:
        return read()
    except LIBRARY_ERRORS as error:
        defects.append(f"{what} unreadable: {one_line(error)}")
        return otherwise


def _name_ders(der: bytes) -> tuple[bytes, bytes]:
    """Cut issuer and subject out of the octets, so that odd strings survive (RFC 5280 4.1)."""
    _, at, _ = read_element(der, 0)
    _, at, _ = read_element(der, at)
    if der[at] == _VERSION_TAG:
        at = read_element(der, at)[2]
    after_serial = read_element(der, at)[2]
    issuer_at = read_element(der, after_serial)[2]
    validity_at = read_element(der, issuer_at)[2]
    subject_at = read_element(der, validity_at)[2]
    subject_end = read_element(der, subject_at)[2]
    return der[issuer_at:validity_at], der[subject_at:subject_end]


def _digest_name(parsed: x509.Certificate) -> str:
    digest = parsed.signature_hash_algorithm
    return "" if digest is None else digest.name


def _dn_addresses(parsed: x509.Certificate) -> tuple[str, ...]:
    attributes = parsed.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)
    return tuple(a.value for a in attributes if isinstance(a.value, str))


def _clean(addresses: tuple[str, ...], defects: list[str]) -> tuple[Mailbox, ...]:
    """Keep the addresses that are exactly one Mailbox; the others are never identities."""
    mailboxes = []
    for address in addresses:
        try:
            mailboxes.append(parse_mailbox(address))
        except AddressError as error:
            defects.append(f"{address[:100]!a} is not an address: {error}")
    return tuple(dict.fromkeys(mailboxes))


def _weakness(key: KeyFacts, digest: str, *, self_issued: bool) -> str:
    # Nothing rests on the signature a certificate makes over itself.
    if digest in WEAK_DIGESTS and not self_issued:
        return f"signed with {digest}"
    return weakness_of_key(key)
