"""Distinguished names compared by value, whatever their case, blanks or string type.

RFC 5280 7.1 (comparison), RFC 4518 2 (string preparation), X.690 8.1 (encoding).
"""

import unicodedata
from collections.abc import Iterator

MAX_NAME_OCTETS = 16_384  # far above any real name (largest seen: 700); bounds the normalising

_SEQUENCE = 0x30
_SET = 0x31
_CODECS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "latin-1",  # NumericString; Latin-1 also below, as issuers put umlauts into all of these
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # TeletexString, which everybody fills with Latin-1
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


def name_key(der: bytes) -> bytes:
    """Give octets that are equal exactly for names that are equal by value (RFC 5280 7.1).

    `der` is one encoded Name. What cannot be read as a Name is equal only to itself.
    """
    if len(der) > MAX_NAME_OCTETS:
        return b"\x00" + der
    try:
        return b"".join(_relative_name_key(rdn) for rdn in _members(der, _SEQUENCE))
    except (ValueError, IndexError):
        return b"\x00" + der


def relative_name_keys(der: bytes) -> tuple[bytes, ...] | None:
    """Give the keys of the RDNs of a name, outermost first; None when it cannot be read.

    A name lies below another in the directory when that one's keys begin its own.
    """
    if len(der) > MAX_NAME_OCTETS:
        return None
    try:
        return tuple(_relative_name_key(rdn) for rdn in _members(der, _SEQUENCE))
    except (ValueError, IndexError):
        return None


def _relative_name_key(rdn: bytes) -> bytes:
    attributes = sorted(_attribute_key(attribute) for attribute in _members(rdn, _SET))
    return _framed(b"".join(attributes))


def _attribute_key(attribute: bytes) -> bytes:
    kind, value = _members(attribute, _SEQUENCE)
    tag, start, end = read_element(value, 0)
    codec = _CODECS.get(tag)
    if codec is None:
        return _framed(kind) + _framed(b"\x00" + value)
    return _framed(kind) + _framed(b"\x01" + _prepared(value[start:end].decode(codec)).encode())


def _prepared(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def _framed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _members(der: bytes, tag: int) -> Iterator[bytes]:
    found, start, end = read_element(der, 0)
    if found != tag or end != len(der):
        raise ValueError("not the expected structure")
    while start < end:
        _, _, after = read_element(der, start)
        if after > end:
            raise ValueError("an element is longer than what holds it")
        yield der[start:after]
        start = after


def read_element(der: bytes, at: int) -> tuple[int, int, int]:
    """Read the header of the definite-length element at `at`: tag octet, content start, end.

    Raises ValueError or IndexError for what is cut short, indefinite or has a long tag
    (X.690 8.1.2, 8.1.3).
    """
    tag, length, start = der[at], der[at + 1], at + 2
    if tag & 0x1F == 0x1F or length == 0x80:  # noqa: PLR2004 - X.690 8.1.2.4, 8.1.3.6
        raise ValueError("a long tag or an indefinite length")
    if length > 0x80:  # noqa: PLR2004 - X.690 8.1.3.5: the low bits count the length octets
        octets = length & 0x7F
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    if start + length > len(der):
        raise ValueError("cut short")
    return tag, start, start + length
