"""Walks BER iteratively over one buffer, linear in its length, within fixed limits.

ITU-T X.690 8. Elements are views into the buffer: definite ones are read when their children
are asked for, indefinite ones when met, so that every header is read once. Libraries are
quadratic on chunked strings or recurse on nested ones.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from smime_proxy.cms import der
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms

MAX_DEPTH = 32  # nested elements; real S/MIME stays below 15
MAX_ELEMENTS = 200_000  # per object; 50 MB in the 1,000 octet chunks of BouncyCastle is 50,000
MAX_INTEGER = 256  # octets; RFC 5280 4.1.2.2 allows serial numbers of 20
MAX_OID = 64  # octets; the longest in use are below 30

_CONSTRUCTED = 0x20
INDEFINITE = 0x80  # first length octet of an element that ends with a mark
_MULTIPLE_OCTETS = 0x1F  # tag number in the octets that follow
_MAX_TAG_OCTETS = 5
_MAX_LENGTH_OCTETS = 8
_STRING_TAGS = frozenset((3, 4, 12, *range(18, 23), *range(25, 31)))  # universal strings
_BIT_STRING = 3
_TINY = 192  # octets; a view takes as much memory as a copy of them
_new = tuple.__new__


class _Walk:
    """One buffer and how many more elements may be read of it."""

    __slots__ = ("left", "view")

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.left = MAX_ELEMENTS


class Element(NamedTuple):
    """One element of the buffer: `tag` is its identifier octet, the offsets are the buffer's.

    A tuple, because thousands are made and its construction is the cheapest there is.
    """

    walk: _Walk
    tag: int
    start: int  # first octet of the header
    body: int  # first octet of the contents
    stop: int  # behind the contents
    end: int  # behind the element, so behind its end mark if it has one
    depth: int
    inside: "list[Element] | None"  # elements of an indefinite one, met while looking for its end

    @property
    def encoding(self) -> memoryview:
        """The whole element as it was sent."""
        return self.walk.view[self.start : self.end]

    @property
    def contents(self) -> memoryview:
        """The contents octets; of an indefinite element without its end mark."""
        return self.walk.view[self.body : self.stop]

    @property
    def definite(self) -> bool:
        """Whether the length was given and not marked by its end."""
        return self.stop == self.end

    def children(self) -> "list[Element]":
        """The elements inside, read at each call; raises MalformedCms for a primitive element."""
        if self.inside is not None:
            return self.inside
        if not self.tag & _CONSTRUCTED:
            raise MalformedCms("primitive element where a structure belongs")
        return _scan(self.walk, self.body, self.stop, self.depth + 1)

    def expect(self, tag: int) -> "Element":
        """Itself when it has this identifier octet; else raises MalformedCms."""
        if self.tag != tag:
            raise MalformedCms(f"element 0x{self.tag:02x} where 0x{tag:02x} belongs")
        return self


def read(raw: Octets) -> tuple[Element, memoryview]:
    """The element at the start of the octets and what follows it; raises MalformedCms."""
    view = memoryview(raw)
    element = _scan(_Walk(view), 0, len(view), 1, one=True)[0]
    return element, view[element.end :]


def read_only(raw: Octets) -> Element:
    """The element that is all of the octets; raises MalformedCms."""
    element, rest = read(raw)
    if len(rest):
        raise MalformedCms("octets behind the end")
    return element


def first_header(raw: Octets) -> tuple[int, int]:
    """Identifier octet and offset of the contents of the first element, contents unread."""
    view = memoryview(raw)
    tag, body, _ = _header(view, 0, len(view))
    return tag, body


def first_element(raw: Octets) -> tuple[int, int]:
    """Identifier octet and offset behind the first element of definite length, contents unseen.

    The octets may end inside the contents. Raises MalformedCms.
    """
    view = memoryview(raw)
    tag, body, length = _header(view, 0, len(view))
    if length < 0:
        raise MalformedCms("no definite length")
    return tag, body + length


def octets(element: Element) -> list[memoryview]:
    """The pieces of an OCTET STRING, however it is chunked (X.690 8.7); implicit tags too."""
    if not element.tag & _CONSTRUCTED:
        return [element.contents]
    return _joined(_chunks(element, der.OCTET_STRING))


def octet_string(element: Element) -> bytes:
    """A small universal OCTET STRING as one value; raises MalformedCms."""
    if element.tag & ~_CONSTRUCTED != der.OCTET_STRING:
        raise MalformedCms("no OCTET STRING where one belongs")
    return b"".join(octets(element))


def integer(element: Element) -> int:
    """INTEGER value of at most MAX_INTEGER octets; raises MalformedCms."""
    contents = element.expect(der.INTEGER).contents
    if not 0 < len(contents) <= MAX_INTEGER:
        raise MalformedCms("integer without octets or too long")
    return int.from_bytes(contents, signed=True)


def object_identifier(element: Element) -> str:
    """Dotted name of an OBJECT IDENTIFIER; raises MalformedCms."""
    contents = element.expect(der.OBJECT_IDENTIFIER).contents
    if not 0 < len(contents) <= MAX_OID:
        raise MalformedCms("object identifier without octets or too long")
    return _dotted(bytes(contents))


def to_der(element: Element, *, tag: int | None = None, sort: bool = True) -> bytes:
    """DER of an element: definite minimal lengths, strings in one piece, SETs in order.

    `tag` takes the place of the outer identifier octet (RFC 5652 5.4 hashes signedAttrs as a
    SET OF); with `sort` false sets keep the order they were sent in. Elements with a tag number
    of several octets, which nothing in CMS has, stay as they were sent.
    """
    own = element.tag if tag is None else tag
    if own & _MULTIPLE_OCTETS == _MULTIPLE_OCTETS:
        return element.encoding.tobytes()
    if not element.tag & _CONSTRUCTED:
        return der.element(own, element.contents.tobytes())
    number = own & 0x1F
    if own < 0x40 and number in _STRING_TAGS:  # noqa: PLR2004 - class universal
        return der.element(own & ~_CONSTRUCTED, _string(element, number))
    # Bounded by MAX_DEPTH: children() refuses deeper ones.
    parts = [to_der(child, sort=sort) for child in element.children()]
    if own == der.SET and sort:
        parts.sort()
    return der.element(own, *parts)


def _string(element: Element, number: int) -> bytes:
    chunks = list(_chunks(element, number))
    if number != _BIT_STRING:
        return b"".join(chunks)
    # Each chunk opens with its count of unused bits; only the last may have some.
    unused = chunks[-1][:1] if chunks else b"\x00"
    return b"".join((bytes(unused), *(chunk[1:] for chunk in chunks)))


def _joined(chunks: Iterable[memoryview]) -> list[memoryview]:
    """The same octets, those of tiny chunks next to each other in one piece."""
    pieces: list[memoryview] = []
    tiny = bytearray()
    for chunk in chunks:
        if len(chunk) < _TINY:
            tiny += chunk
            continue
        if tiny:
            pieces.append(memoryview(tiny).toreadonly())
            tiny = bytearray()
        pieces.append(chunk)
    if tiny:
        pieces.append(memoryview(tiny).toreadonly())
    return pieces


def _chunks(element: Element, number: int) -> Iterator[memoryview]:
    view = element.walk.view
    waiting = element.children()[::-1]
    while waiting:
        child = waiting.pop()
        if child.tag == number:
            yield view[child.body : child.stop]
        elif child.tag == number | _CONSTRUCTED:
            waiting.extend(reversed(child.children()))
        else:
            raise MalformedCms("foreign element inside a chunked string")


def _scan(walk: _Walk, at: int, limit: int, depth: int, *, one: bool = False) -> list[Element]:
    """The siblings from `at` to `limit` (or the first only), indefinite ones with all inside."""
    view = walk.view
    siblings: list[Element] = []
    # Elements whose end was not met yet: tag, start, body and the list they will stand in.
    waiting: list[tuple[int, int, int, list[Element]]] = []
    while at < limit or waiting:
        # The usual header of two octets is read here: a call for each costs as much again.
        if at + 2 > limit:
            raise MalformedCms("ends inside an element")
        tag, length, body = view[at], view[at + 1], at + 2
        if length >= INDEFINITE or tag & _MULTIPLE_OCTETS == _MULTIPLE_OCTETS:
            tag, body, length = _header(view, at, limit)
        if tag:
            walk.left -= 1
            level = depth + len(waiting)
            if walk.left < 0 or level > MAX_DEPTH:
                raise MalformedCms("too many elements" if walk.left < 0 else "nested too deep")
            if length < 0:
                waiting.append((tag, at, body, siblings))
                siblings = []
                at = body
                continue
            stop = body + length
            if stop > limit:
                raise MalformedCms("element longer than what holds it")
            element = _new(Element, (walk, tag, at, body, stop, stop, level, None))
            at = stop
        else:
            if length or not waiting:
                raise MalformedCms("end mark where none belongs")
            inside = siblings
            tag, start, first, siblings = waiting.pop()
            level = depth + len(waiting)
            element = _new(Element, (walk, tag, start, first, at, body, level, inside))
            at = body
        siblings.append(element)
        if one and not waiting:
            return siblings
    if one:
        raise MalformedCms("no octets")
    return siblings


def _header(view: memoryview, at: int, limit: int) -> tuple[int, int, int]:
    """Identifier octet, offset of the contents, length (-1: indefinite)."""
    if at + 2 > limit:
        raise MalformedCms("ends inside an element")
    tag = view[at]
    at += 1
    if tag & _MULTIPLE_OCTETS == _MULTIPLE_OCTETS:
        at = _skip_tag_number(view, at, limit)
    length = view[at]
    at += 1
    if length < INDEFINITE:
        return tag, at, length
    if length == INDEFINITE:
        if not tag & _CONSTRUCTED:
            raise MalformedCms("primitive element of indefinite length")
        return tag, at, -1
    behind = at + (length & 0x7F)
    if behind - at > _MAX_LENGTH_OCTETS or behind > limit:
        raise MalformedCms("length of an element is unreadable")
    return tag, behind, int.from_bytes(view[at:behind])


def _skip_tag_number(view: memoryview, at: int, limit: int) -> int:
    for end in range(at, min(at + _MAX_TAG_OCTETS, limit - 1)):
        if view[end] < 0x80:  # noqa: PLR2004 - last octet of the number, X.690 8.1.2.4.2
            return end + 1
    raise MalformedCms("tag number is unreadable")


@lru_cache(maxsize=512)
def _dotted(contents: bytes) -> str:
    if contents[-1] & 0x80:
        raise MalformedCms("object identifier ends inside an arc")
    arcs: list[int] = []
    value = 0
    for octet in contents:
        value = value << 7 | octet & 0x7F
        if octet < 0x80:  # noqa: PLR2004 - last octet of an arc, X.690 8.19.2
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
