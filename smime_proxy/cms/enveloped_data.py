"""Reads EnvelopedData and AuthEnvelopedData, BER or DER, into values.

RFC 5652 6, RFC 5083 2.
"""

from dataclasses import dataclass, field

from smime_proxy.cms import ber, ciphers, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import parse_content_info, read_algorithm
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.recipient_info import MAX_RECIPIENTS, RecipientInfo, read_recipients

__all__ = ["MAX_RECIPIENTS", "EnvelopedData", "RecipientInfo", "parse_enveloped_data"]

_0, _1 = 0xA0, 0xA1  # context specific tags; [0] primitive: _0_PRIMITIVE
_0_PRIMITIVE = 0x80


@dataclass(frozen=True, slots=True)
class EnvelopedData:
    """Ciphertext (in pieces; None: carried elsewhere) and who can open it.

    `content_encryption` is the report name of the cipher, `cipher` its dotted one,
    `parameters` the encoded parameters (empty: absent). `authenticated` tells that its tag protects
    the content. `mac` is AuthEnvelopedData's, None in EnvelopedData, and `covered` what it covers
    besides the content: the authenticated attributes as a DER SET OF (RFC 5083 2.2).
    """

    recipients: tuple[RecipientInfo, ...]
    content_type: str
    content_encryption: str
    cipher: str
    parameters: bytes
    ciphertext: tuple[memoryview, ...] | None
    authenticated: bool
    mac: bytes | None = None
    covered: bytes = field(repr=False, default=b"")


def parse_enveloped_data(raw: Octets) -> EnvelopedData:
    """A ContentInfo that holds EnvelopedData or AuthEnvelopedData; raises MalformedCms."""
    info = parse_content_info(raw)
    if info.content_type not in {oids.ENVELOPED_DATA, oids.AUTH_ENVELOPED_DATA}:
        raise MalformedCms("not enveloped-data")
    fields = info.content.expect(der.SEQUENCE).children()
    if len(fields) > 1 and fields[1].tag == _0:  # originatorInfo
        fields = [fields[0], *fields[2:]]
    match fields:
        case [_, recipients, encrypted, *behind]:
            content = encrypted.expect(der.SEQUENCE).children()
        case _:
            raise MalformedCms("enveloped-data lacks fields")
    match content:
        case [content_type, algorithm, *ciphertext]:
            cipher, parameters = read_algorithm(algorithm)
        case _:
            raise MalformedCms("encrypted content lacks fields")
    mac, covered = None, b""
    if info.content_type == oids.AUTH_ENVELOPED_DATA:
        mac, covered = _authentication(behind)
    row = ciphers.CIPHERS.get(cipher)
    return EnvelopedData(
        tuple(read_recipients(recipients)),
        ber.object_identifier(content_type),
        ciphers.cipher_name(cipher),
        cipher,
        parameters,
        _ciphertext(ciphertext),
        row is not None and row.is_authenticated,
        mac,
        covered,
    )


def _authentication(fields: list[Element]) -> tuple[bytes, bytes]:
    """The tag, and the authenticated attributes as it covers them (RFC 5083 2.1 and 2.2)."""
    covered = b""
    if fields and fields[0].tag == _1:
        covered = ber.to_der(fields[0], tag=der.SET)
        fields = fields[1:]
    match fields:
        case [mac, *_]:  # unauthAttrs may follow
            return ber.octet_string(mac), covered
        case _:
            raise MalformedCms("authenticated enveloped-data lacks its tag")


def _ciphertext(fields: list[Element]) -> tuple[memoryview, ...] | None:
    match fields:
        case []:
            return None
        case [element] if element.tag in {_0, _0_PRIMITIVE}:
            return tuple(ber.octets(element))
        case _:
            raise MalformedCms("encrypted content is unreadable")
