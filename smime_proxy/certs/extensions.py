"""What the extensions of a certificate say about its uses and its addresses.

RFC 5280 4.2.1, RFC 8550 4.4 (S/MIME use of extensions), RFC 9598 3 (SmtpUTF8Mailbox), RFC 4262
(S/MIME capabilities).
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime_proxy.certs.names import read_element

SMTP_UTF8_MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")  # id-on-SmtpUTF8Mailbox, RFC 9598 3
SMIME_CAPABILITIES = x509.ObjectIdentifier("1.2.840.113549.1.9.15")  # RFC 4262 2

MAX_NAMES = 500  # subjectAltNames; no person's certificate has ten, bounds the reading

_UTF8_STRING = 0x0C
_MAIL_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
_SIGNING_KINDS = frozenset(
    {"rsa", "ec", "ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87", "dsa", "unknown"}
)
_ENCIPHERMENT_KINDS = frozenset({"rsa", "mlkem768", "mlkem1024"})
_AGREEMENT_KINDS = frozenset({"ec", "x25519", "x448"})


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions that matter for mail; addresses as written, not yet judged."""

    is_ca: bool = False
    certifies: bool = True
    signs: bool = True
    enciphers: bool = True
    agrees: bool = True
    for_mail: bool = True
    ski: bytes | None = None
    aki: bytes | None = None
    addresses: tuple[str, ...] = ()
    capabilities: bytes = b""
    defects: tuple[str, ...] = ()

    @classmethod
    def nothing_allowed(cls) -> "Extensions":
        """Stand in for unreadable extensions: no use, no address."""
        return cls(signs=False, enciphers=False, agrees=False, for_mail=False)

    def allows_signing(self, kind: str) -> bool:
        """Tell whether a key of this kind may sign mail (RFC 8550 4.4.2, 4.4.4)."""
        return self.for_mail and self.signs and kind in _SIGNING_KINDS

    @property
    def allows_issuing(self) -> bool:
        """Tell whether it may issue certificates for mail (RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12)."""
        return self.is_ca and self.certifies and self.for_mail

    def allows_encryption(self, kind: str) -> bool:
        """Tell whether mail may be encrypted to a key of this kind (RFC 8550 4.4.2, 4.4.4).

        RFC 9935 3: keyEncipherment for ML-KEM too.
        """
        if kind in _ENCIPHERMENT_KINDS:
            return self.for_mail and self.enciphers
        return self.for_mail and self.agrees and kind in _AGREEMENT_KINDS


def read_extensions(extensions: x509.Extensions) -> Extensions:
    """Read what matters for mail; absent keyUsage and extendedKeyUsage allow (RFC 8550 4.4)."""
    found: dict[str, object] = {}
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=ca):
                found["is_ca"] = ca
            case x509.KeyUsage() as usage:
                found["certifies"] = usage.key_cert_sign
                found["signs"] = usage.digital_signature or usage.content_commitment
                found["enciphers"] = usage.key_encipherment
                found["agrees"] = usage.key_agreement
            case x509.ExtendedKeyUsage() as purposes:
                found["for_mail"] = not _MAIL_PURPOSES.isdisjoint(purposes)
            case x509.SubjectKeyIdentifier(digest=digest):
                found["ski"] = digest
            case x509.AuthorityKeyIdentifier(key_identifier=identifier):
                found["aki"] = identifier
            case x509.SubjectAlternativeName() as names:
                found["addresses"], found["defects"] = _addresses(names)
            case x509.UnrecognizedExtension(oid=oid, value=value) if oid == SMIME_CAPABILITIES:
                found["capabilities"] = value
            case _:
                pass
    return Extensions(**found)  # type: ignore[arg-type]  # each key is set with its field's type


def _addresses(names: x509.SubjectAlternativeName) -> tuple[tuple[str, ...], tuple[str, ...]]:
    addresses: list[str] = []
    defects: list[str] = []
    if len(names) > MAX_NAMES:
        return (), (f"more than {MAX_NAMES} names, none of them is read",)
    for name in names:
        if isinstance(name, x509.RFC822Name):
            addresses.append(name.value)
        elif isinstance(name, x509.OtherName) and name.type_id == SMTP_UTF8_MAILBOX:
            try:
                addresses.append(_smtp_utf8_mailbox(name.value))
            except (ValueError, IndexError) as error:
                defects.append(f"SmtpUTF8Mailbox: {error}")
    return tuple(addresses), tuple(defects)


def _smtp_utf8_mailbox(der: bytes) -> str:
    tag, start, end = read_element(der, 0)
    if tag != _UTF8_STRING or end != len(der):
        raise ValueError("not one UTF8String")
    address = der[start:end].decode("utf-8")
    if address.rpartition("@")[0].isascii():
        # RFC 9598 3: such a name belongs into rfc822Name, where name constraints find it.
        raise ValueError("its local part is ASCII")
    return address
