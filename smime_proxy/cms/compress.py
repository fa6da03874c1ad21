"""Reads CompressedData, BER or DER, and inflates it within caps that a bomb runs into.

RFC 3274 1.1 and 2; RFC 1950 (zlib).
"""

import zlib
from collections.abc import Iterator, Sequence

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import parse_content_info, read_algorithm
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm

MAX_RATIO = 20  # octets out for one in; text comes to 3 to 10, zlib can make it 1,000
MAX_INFLATED = 50_000_000  # octets; the largest message accepted unless configured otherwise
ALLOWANCE = 1_048_576  # octets out whatever went in: short mail of one repeated line is no bomb

ZLIB_COMPRESS = "1.2.840.113549.1.9.16.3.8"

_CHUNK = 65_536  # octets in at a time
_STEP = 1_048_576  # octets out at a time
_EXPLICIT_0 = 0xA0
_OCTET_STRINGS = frozenset((der.OCTET_STRING, 0x24))


def decompress(raw: Octets) -> bytes:
    """The content of a ContentInfo that holds CompressedData.

    Raises MalformedCms for what cannot be read, is cut short, has octets behind its end or goes
    past a cap, and UnsupportedAlgorithm for anything but zlib. Linear in what comes out.
    """
    pieces = _pieces(raw)
    left = min(MAX_INFLATED, max(ALLOWANCE, MAX_RATIO * der.size(pieces)))
    found: list[bytes] = []
    for part in _inflated(pieces):
        left -= len(part)
        if left < 0:
            raise MalformedCms("compressed content is too large")
        found.append(part)
    return b"".join(found)


def _inflated(pieces: Sequence[memoryview]) -> Iterator[bytes]:
    """Inflate step by step, so that whoever counts can stop a bomb."""
    inflater = zlib.decompressobj()
    try:
        for chunk in _chunks(pieces):
            if inflater.eof:
                raise MalformedCms("octets behind the compressed content")
            waiting: Octets = chunk
            while waiting:
                yield inflater.decompress(waiting, _STEP)
                waiting = inflater.unconsumed_tail
        while part := inflater.decompress(b"", _STEP):  # what zlib held back for want of room
            yield part
    except zlib.error:
        raise MalformedCms("compressed content is unreadable") from None
    if not inflater.eof or inflater.unused_data:
        raise MalformedCms("compressed content does not end where it should")


def _pieces(raw: Octets) -> list[memoryview]:
    info = parse_content_info(raw)
    if info.content_type != oids.COMPRESSED_DATA:
        raise MalformedCms("not compressed-data")
    match info.content.expect(der.SEQUENCE).children():
        case [_, algorithm, encapsulated]:
            name = read_algorithm(algorithm)[0]
        case _:
            raise MalformedCms("compressed-data lacks fields")
    if name != ZLIB_COMPRESS:
        raise UnsupportedAlgorithm(name)
    return ber.octets(_content(encapsulated))


def _content(encapsulated: Element) -> Element:
    match encapsulated.expect(der.SEQUENCE).children():
        case [_, explicit]:
            inner = explicit.expect(_EXPLICIT_0).children()
        case _:
            raise MalformedCms("compressed-data has no content")
    if len(inner) != 1 or inner[0].tag not in _OCTET_STRINGS:
        raise MalformedCms("compressed content is no OCTET STRING")
    return inner[0]


def _chunks(pieces: Sequence[memoryview]) -> Iterator[memoryview]:
    """Cut large pieces, so that what zlib leaves unread of one is copied a few times at most."""
    for piece in pieces:
        for at in range(0, len(piece), _CHUNK):
            yield piece[at : at + _CHUNK]
