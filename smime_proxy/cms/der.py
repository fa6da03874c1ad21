"""Writes DER from lengths known beforehand, in pieces that are joined once.

ITU-T X.690 8 and 10 (DER), RFC 5652 11.3 (times).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

Octets: TypeAlias = bytes | bytearray | memoryview
Content: TypeAlias = Octets | Sequence[Octets]

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = b"\x05\x00"
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_SHORT_LENGTH = 0x80  # lengths below fit the one octet form
_FIRST_UTC_YEAR, _LAST_UTC_YEAR = 1950, 2049  # RFC 5652 11.3


def pieces(content: Content) -> Sequence[Octets]:
    """Content as a sequence of buffers, nothing copied."""
    return (content,) if isinstance(content, bytes | bytearray | memoryview) else content


def size(parts: Iterable[Octets]) -> int:
    """Octets in all parts together."""
    return sum(map(len, parts))


def header(tag: int, length: int) -> bytes:
    """Identifier and definite length octets of an element."""
    if length < _SHORT_LENGTH:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets


def element(tag: int, *parts: bytes) -> bytes:
    """One small element; large content is written as `header` and its pieces."""
    value = b"".join(parts)
    return header(tag, len(value)) + value


def integer(value: int) -> bytes:
    """INTEGER in the fewest octets (X.690 8.3)."""
    octets = (value.bit_length() if value >= 0 else (~value).bit_length()) // 8 + 1
    return element(INTEGER, value.to_bytes(octets, signed=True))


@lru_cache(maxsize=256)
def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER of a dotted name (X.690 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_arc(arc) for arc in (first * 40 + second, *rest)))


def set_of(elements: Iterable[bytes]) -> bytes:
    """The contents of a SET OF, in DER order (X.690 11.6)."""
    return b"".join(sorted(elements))


def time(moment: datetime) -> bytes:
    """UTCTime from 1950 to 2049, else GeneralizedTime, in whole seconds (RFC 5652 11.3)."""
    moment = moment.astimezone(UTC)
    if _FIRST_UTC_YEAR <= moment.year <= _LAST_UTC_YEAR:
        return element(UTC_TIME, f"{moment.year % 100:02d}{_after_year(moment)}".encode())
    return element(GENERALIZED_TIME, f"{moment.year:04d}{_after_year(moment)}".encode())


def _after_year(moment: datetime) -> str:
    # `strftime` costs as much as all the rest of a signed attribute.
    clock = f"{moment.hour:02d}{moment.minute:02d}{moment.second:02d}"
    return f"{moment.month:02d}{moment.day:02d}{clock}Z"


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))
