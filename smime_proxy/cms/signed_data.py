"""Reads SignedData, BER or DER, into values; nothing is checked beyond shape and limits.

RFC 5652 5 and 11.
"""

from dataclasses import dataclass
from typing import NamedTuple

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import parse_content_info, read_algorithm
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.identifier import Identifier, read_identifier

MAX_SIGNERS = 16  # signerInfos; each costs a public key operation
MAX_CERTIFICATES = 20  # kept of one message; parsing strangers' certificates costs most
MAX_CERTIFICATE = 100_000  # octets; largest seen 9 kB, a post-quantum one has about 20 kB
MAX_ATTRIBUTES = 64  # of one signer; real clients write up to ten

_0, _1 = 0xA0, 0xA1  # context specific tags
_OCTET_STRINGS = frozenset((der.OCTET_STRING, 0x24))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; its values stay encoded as they came."""

    oid: str
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signature; `signed_attributes` is the [0] element as sent, None without.

    `digest` and `signature_algorithm` are dotted names, their parameters encoded as they came,
    empty when absent.
    """

    sid: Identifier
    digest: str
    signed_attributes: bytes | None
    attributes: tuple[Attribute, ...]
    signature_algorithm: str
    signature: bytes
    unsigned_attributes: tuple[Attribute, ...]
    digest_parameters: bytes = b""
    signature_parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedData:
    """Signatures over `content` (pieces of eContent; None: detached).

    `certificates` are the first MAX_CERTIFICATES, in DER; more are left out, and so are larger
    ones than MAX_CERTIFICATE, so the worst that a bag of thousands does is a signer without
    certificate. `content_type` and `digests` are
    dotted names.
    """

    content_type: str
    content: tuple[memoryview, ...] | None
    digests: tuple[str, ...]
    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]

    def content_octets(self) -> bytes | None:
        """The eContent in one piece (a copy); None for a detached signature."""
        return None if self.content is None else b"".join(self.content)


class _Fields(NamedTuple):
    digests: list[Element]
    content_type: str
    content: Element | None
    certificates: list[Element]
    revocations: list[Element]
    signers: list[Element]


def parse_signed_data(raw: Octets) -> SignedData:
    """A ContentInfo that holds SignedData; raises MalformedCms."""
    fields = _fields(raw)
    if len(fields.signers) > MAX_SIGNERS:
        raise MalformedCms("too many signers")
    # The other choices of CertificateChoices are no X.509 certificates.
    certificates = [
        found
        for found in fields.certificates
        if found.tag == der.SEQUENCE and len(found.encoding) <= MAX_CERTIFICATE
    ]
    return SignedData(
        fields.content_type,
        None if fields.content is None else tuple(ber.octets(fields.content)),
        tuple(read_algorithm(digest)[0] for digest in fields.digests[:MAX_SIGNERS]),
        tuple(_as_der(certificate) for certificate in certificates[:MAX_CERTIFICATES]),
        tuple(_signer_info(signer) for signer in fields.signers),
    )


def is_certs_only(raw: Octets) -> bool:
    """Whether SignedData carries certificates or CRLs and nothing else (RFC 8551 3.8).

    Empty content counts as none. Raises MalformedCms.
    """
    fields = _fields(raw)
    if fields.signers or not (fields.certificates or fields.revocations):
        return False
    return fields.content is None or not any(map(len, ber.octets(fields.content)))


def _fields(raw: Octets) -> _Fields:
    info = parse_content_info(raw)
    if info.content_type != oids.SIGNED_DATA:
        raise MalformedCms("not signed-data")
    match info.content.expect(der.SEQUENCE).children():
        case [_, digests, encapsulated, *optional, signers]:
            content_type, content = _encapsulated(encapsulated)
        case _:
            raise MalformedCms("signed-data lacks fields")
    sets = {field.tag: field.children() for field in optional}
    if sets.keys() - {_0, _1}:
        raise MalformedCms("foreign field in signed-data")
    return _Fields(
        digests.expect(der.SET).children(),
        content_type,
        content,
        sets.get(_0, []),
        sets.get(_1, []),
        signers.expect(der.SET).children(),
    )


def _encapsulated(element: Element) -> tuple[str, Element | None]:
    match element.expect(der.SEQUENCE).children():
        case [content_type]:
            return ber.object_identifier(content_type), None
        case [content_type, explicit]:
            inner = explicit.expect(_0).children()
        case _:
            raise MalformedCms("encapsulated content is unreadable")
    if len(inner) != 1 or inner[0].tag not in _OCTET_STRINGS:
        raise MalformedCms("encapsulated content is no OCTET STRING")
    return ber.object_identifier(content_type), inner[0]


def _signer_info(element: Element) -> SignerInfo:
    fields = element.expect(der.SEQUENCE).children()
    signed = next((field for field in fields[3:4] if field.tag == _0), None)
    if signed is not None:
        fields = [*fields[:3], *fields[4:]]
    match fields:
        case [_, sid, digest, algorithm, signature, *unsigned] if _are_attributes(unsigned):
            digest_oid, digest_parameters = read_algorithm(digest)
            signature_oid, signature_parameters = read_algorithm(algorithm)
            return SignerInfo(
                read_identifier(sid),
                digest_oid,
                None if signed is None else signed.encoding.tobytes(),
                () if signed is None else _attributes(signed),
                signature_oid,
                ber.octet_string(signature),
                _attributes(unsigned[0]) if unsigned else (),
                digest_parameters,
                signature_parameters,
            )
        case _:
            raise MalformedCms("signerInfo lacks fields")


def _are_attributes(unsigned: list[Element]) -> bool:
    return [field.tag for field in unsigned] in ([], [_1])


def _attributes(element: Element) -> tuple[Attribute, ...]:
    attributes = element.children()
    if len(attributes) > MAX_ATTRIBUTES:
        raise MalformedCms("too many attributes")
    return tuple(_attribute(attribute) for attribute in attributes)


def _attribute(element: Element) -> Attribute:
    match element.expect(der.SEQUENCE).children():
        case [oid, values]:
            encoded = tuple(value.encoding.tobytes() for value in values.expect(der.SET).children())
            return Attribute(ber.object_identifier(oid), encoded)
        case _:
            raise MalformedCms("attribute is unreadable")


def _as_der(certificate: Element) -> bytes:
    # Original octets, because the issuer signed those; an indefinite one was DER when signed.
    return certificate.encoding.tobytes() if certificate.definite else ber.to_der(certificate)
