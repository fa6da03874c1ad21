"""Reads the outermost CMS structure and what all structures share.

RFC 5652 3 and 10.1. Behind the object only white space and NUL are tolerated: base64 and mail
stores leave these behind, and anything else would be octets no signature covers.
"""

from dataclasses import dataclass

from smime_proxy.cms import ber, der
from smime_proxy.cms.ber import Element
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms

_PADDING = b"\r\n\t \x00"
_MAX_PADDING = 1024  # octets; bounds what is looked through
_EXPLICIT_0 = 0xA0


@dataclass(frozen=True, slots=True)
class ContentInfo:
    """Content type (dotted) and the element that holds the content."""

    content_type: str
    content: Element


def parse_content_info(raw: Octets) -> ContentInfo:
    """The outermost structure; raises MalformedCms."""
    element, rest = ber.read(raw)
    if len(rest) > _MAX_PADDING or rest.tobytes().strip(_PADDING):
        raise MalformedCms("octets behind the end")
    match element.expect(der.SEQUENCE).children():
        case [content_type, explicit]:
            inner = explicit.expect(_EXPLICIT_0).children()
        case _:
            raise MalformedCms("no content")
    if len(inner) != 1:
        raise MalformedCms("no content")
    return ContentInfo(ber.object_identifier(content_type), inner[0])


def peek_content_type(raw: Octets) -> str:
    """Content type at the start of the octets, what follows it unread; raises MalformedCms."""
    view = memoryview(raw)
    tag, body = ber.first_header(view)
    if tag != der.SEQUENCE:
        raise MalformedCms("no CMS object")
    return ber.object_identifier(ber.read(view[body : body + 2 + ber.MAX_OID])[0])


def read_algorithm(element: Element) -> tuple[str, bytes]:
    """Dotted name and encoded parameters (empty: absent) of an AlgorithmIdentifier."""
    match element.expect(der.SEQUENCE).children():
        case [oid]:
            return ber.object_identifier(oid), b""
        case [oid, parameters]:
            return ber.object_identifier(oid), parameters.encoding.tobytes()
        case _:
            raise MalformedCms("algorithm identifier is unreadable")
