"""Which certificate a signer wants mail encrypted to: SMIMEEncryptionKeyPreference.

RFC 8551 2.5.3, and the attribute Outlook writes beside it, 1.3.6.1.4.1.311.16.4, whose value is an
IssuerAndSerialNumber. It names a certificate and vouches for nothing.
"""

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.identifier import Identifier, issuer_and_serial, key_identifier
from smime_proxy.cms.signed_data import SignerInfo

# The choices are IMPLICIT: issuerAndSerialNumber, recipientKeyId, subjectAltKeyIdentifier.
_ISSUER_AND_SERIAL, _RECIPIENT_KEY = 0xA0, 0xA1
_KEY_IDENTIFIER, _KEY_IDENTIFIER_CHUNKED = 0x82, 0xA2


def read_preference(signer: SignerInfo) -> Identifier | None:
    """Whom the signed attributes name; None when they name nobody, or nobody can tell.

    The standard attribute goes before Microsoft's. One that is there twice says nothing
    (RFC 8551 2.5.3: only once, with one value).
    """
    for oid, read in (
        (oids.ENCRYPTION_KEY_PREFERENCE, _choice),
        (oids.MICROSOFT_KEY_PREFERENCE, _issuer_and_serial),
    ):
        match [attribute.values for attribute in signer.attributes if attribute.oid == oid]:
            case [(value,)]:
                try:
                    return read(ber.read_only(value))
                except CmsError:
                    continue
            case _:
                continue
    return None


def _choice(element: Element) -> Identifier:
    if element.tag == _ISSUER_AND_SERIAL:
        return _issuer_and_serial(element, _ISSUER_AND_SERIAL)
    if element.tag in {_KEY_IDENTIFIER, _KEY_IDENTIFIER_CHUNKED}:
        return Identifier(ski=key_identifier(b"".join(ber.octets(element))))
    match element.expect(_RECIPIENT_KEY).children():
        case [ski, *_]:  # date and other keys may follow, RFC 5652 6.2.2
            return Identifier(ski=key_identifier(ber.octet_string(ski)))
        case _:
            raise MalformedCms("encryption key preference is unreadable")


def _issuer_and_serial(element: Element, tag: int = der.SEQUENCE) -> Identifier:
    match element.expect(tag).children():
        case [issuer, serial]:
            return issuer_and_serial(issuer, serial)
        case _:
            raise MalformedCms("encryption key preference is unreadable")
