"""Key files in BER made DER-like, so that one reader serves: definite lengths, whole strings.

X.690 8.1.3.6 (indefinite length), 8.7.3 (constructed octet strings); RFC 7292 4 lets files use BER.
"""

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.names import read_element

MAX_DEPTH = 32  # levels of nesting; a PKCS #12 file has about 12; bounds recursion
MAX_ELEMENTS = 50_000  # a megabyte of chunks as NSS writes them has a tenth; bounds time

_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_INDEFINITE = 0x80
_OCTET_STRING = 0x04
_END = b"\x00\x00"


def to_definite(raw: bytes) -> bytes:
    """Rewrite one BER element with definite lengths and octet strings in one piece.

    What follows the element is left out. Raises `CertificateError` for what is cut short, too
    deep or too finely divided.
    """
    reader = _Reader(raw)
    try:
        return reader.element(0, 0)[0]
    except IndexError:
        raise CertificateError("the file is cut short") from None


def encoded(tag: int, content: bytes) -> bytes:
    """Write one element with a one-octet tag and the shortest length (X.690 10.1)."""
    length = len(content)
    if length < _INDEFINITE:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _INDEFINITE | len(octets)]) + octets + content


class _Reader:
    """Counts the elements of one file while it is walked."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._elements = 0

    def element(self, at: int, depth: int) -> tuple[bytes, int]:
        """Give the element at `at` rewritten, and where it ended."""
        self._elements += 1
        if depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise CertificateError("the file is nested too deeply or divided too finely")
        raw = self._raw
        tag, first = raw[at], raw[at + 1]
        if tag & _LONG_TAG == _LONG_TAG:
            raise CertificateError("the file has a tag that key files do not use")
        start, end = self._span(at + 2, first)
        if not tag & _CONSTRUCTED:
            if end is None:
                raise CertificateError("a primitive element without a length")
            return encoded(tag, raw[start:end]), end
        members, after = self._members(start, end, depth)
        if tag == _OCTET_STRING | _CONSTRUCTED:
            return encoded(
                _OCTET_STRING, b"".join(member[read_element(member, 0)[1] :] for member in members)
            ), after
        return encoded(tag, b"".join(members)), after

    def _span(self, at: int, first: int) -> tuple[int, int | None]:
        if first == _INDEFINITE:
            return at, None
        octets = first & 0x7F if first > _INDEFINITE else 0
        length = int.from_bytes(self._raw[at : at + octets], "big") if octets else first
        if at + octets + length > len(self._raw):
            raise CertificateError("the file is cut short")
        return at + octets, at + octets + length

    def _members(self, at: int, end: int | None, depth: int) -> tuple[list[bytes], int]:
        members: list[bytes] = []
        while at != end:
            if end is None and self._raw[at : at + 2] == _END:
                return members, at + 2
            if end is not None and at > end:
                raise CertificateError("an element is longer than what holds it")
            member, at = self.element(at, depth + 1)
            members.append(member)
        return members, at
