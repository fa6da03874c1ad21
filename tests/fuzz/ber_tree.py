"""Mutations of BER by its structure, on a tree of its own that can be written wrongly.

ITU-T X.690 8. The reader is not the package's: it takes what it can and leaves the rest as octets.
"""

from dataclasses import dataclass
from random import Random

from smime_proxy.cms import der
from tests.fuzz.octets import ANY

_MAX_DEPTH = 40
_STRINGS = frozenset({0x03, 0x04, 0x0C, 0x13, 0x16, 0x80, 0x81, 0x82})
_TAGS = (0, 1, 2, 3, 4, 5, 6, 0x0C, 0x13, 0x17, 0x18, 0x24, 0x30, 0x31, 0x80, 0x81, 0xA0, 0xA1,
         0xA2, 0xA3, 0xA4, 0x1F, 0x3F)  # fmt: skip
_LIES = (-1, 1, -2, 2, 127, 1 << 16, 1 << 31, 1 << 62)
_INTEGERS = (b"", b"\0", b"\1", b"\xff", b"\0" * 300, b"\x7f" + b"\xff" * 20, b"\x80" + bytes(8))
# What S/MIME knows, and what it does not; DER of object identifiers without header.
OIDS = tuple(
    der.object_identifier(dotted)[2:]
    for dotted in (
        "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3",
        "1.2.840.113549.1.7.5", "1.2.840.113549.1.7.6", "1.2.840.113549.1.9.16.1.2",
        "1.2.840.113549.1.9.16.1.9", "1.2.840.113549.1.9.16.1.23", "1.2.840.113549.1.9.16.3.8",
        "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5",
        "1.2.840.113549.1.9.15", "1.2.840.113549.1.9.52", "1.2.840.113549.1.1.1",
        "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.11",
        "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.3.14.3.2.26", "1.2.840.113549.2.5",
        "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.3", "2.16.840.1.101.3.4.2.12",
        "2.16.840.1.101.3.4.1.2", "2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.46",
        "2.16.840.1.101.3.4.1.47", "2.16.840.1.101.3.4.1.45", "1.2.840.113549.3.7",
        "1.2.840.113549.3.2", "1.2.840.113549.1.9.16.3.18", "1.3.132.1.11.1", "1.3.101.110",
        "1.3.101.112", "1.2.840.10045.2.1", "1.2.840.10045.4.3.2", "1.2.840.10045.3.1.7",
        "2.16.840.1.101.3.4.4.2", "1.2.840.113549.1.9.16.13.3", "2.5.29.15", "2.5.29.17",
        "2.5.4.3", "1.2.3.4", "0.0",
    )
)  # fmt: skip


@dataclass(slots=True)
class Node:
    """An element: identifier octets, and either nodes or octets; without the former just octets.

    `form` is how its length is put: -1 indefinite, 0 as short as can be, else that many octets of
    long form. `lie` is added to the length told.
    """

    tag: bytes
    inside: "list[Node] | None" = None
    octets: bytes = b""
    form: int = 0
    lie: int = 0

    def encoded(self) -> bytes:
        content = self.octets
        if self.inside is not None:
            content = b"".join(node.encoded() for node in self.inside)
        if not self.tag:
            return content
        if self.form < 0:
            return self.tag + b"\x80" + content + b"\0\0"
        return self.tag + _length(max(len(content) + self.lie, 0), self.form) + content


@dataclass(slots=True)
class _Place:
    """A node and where it stands."""

    siblings: list[Node]
    at: int

    @property
    def node(self) -> Node:
        return self.siblings[self.at]


def _length(length: int, form: int) -> bytes:
    if not form and length < 0x80:
        return bytes([length])
    octets = length.to_bytes(max(form, (length.bit_length() + 7) // 8, 1))
    return bytes([0x80 | len(octets)]) + octets


def read(raw: bytes) -> list[Node]:
    """Read elements one after another; what is none ends them as a node without a tag."""
    nodes, rest, _ = _siblings(raw, 0, len(raw), 0)
    if rest < len(raw):
        nodes.append(Node(b"", octets=raw[rest:]))
    return nodes


def write(nodes: list[Node]) -> bytes:
    return b"".join(node.encoded() for node in nodes)


def _siblings(raw: bytes, at: int, end: int, depth: int) -> tuple[list[Node], int, bool]:
    """Give the nodes, where they end, and whether a mark ended them."""
    nodes: list[Node] = []
    while at + 2 <= end:
        if depth and raw[at : at + 2] == b"\0\0":
            return nodes, at + 2, True
        head, length, form = _header(raw, at, end)
        if length is None or (form >= 0 and head + length > end):
            break
        tag = raw[at : at + 1] if raw[at] & 0x1F != 0x1F else raw[at : at + 2]
        stop = end if form < 0 else head + length
        node = Node(tag, None, raw[head:stop], form)
        if raw[at] & 0x20 and depth < _MAX_DEPTH:
            inside, behind, marked = _siblings(raw, head, stop, depth + 1)
            if marked is (form < 0) and (form < 0 or behind == stop):
                node.inside, node.octets = inside, b""
                stop = behind
            elif form < 0:
                break
        elif form < 0:
            break
        nodes.append(node)
        at = stop
    return nodes, at, False


def _header(raw: bytes, at: int, end: int) -> tuple[int, int | None, int]:
    """Give the offset of the contents, their length (None: unreadable), and the form."""
    at += 1 if raw[at] & 0x1F != 0x1F else 2
    if at >= end:
        return at, None, 0
    first = raw[at]
    if first < 0x80:
        return at + 1, first, 0
    count = first & 0x7F
    if count > 8 or at + 1 + count > end:
        return at, None, 0
    length = int.from_bytes(raw[at + 1 : at + 1 + count])
    return at + 1 + count, length, count or -1


def _places(nodes: list[Node]) -> list[_Place]:
    found = []
    for at, node in enumerate(nodes):
        found.append(_Place(nodes, at))
        if node.inside:
            found.extend(_places(node.inside))
    return found


def mutated(rng: Random, raw: bytes, other: bytes) -> bytes:
    """Change the structure once; `other` is where foreign elements come from."""
    nodes = read(raw)
    places = _places(nodes)
    if not places:
        return rng.choice(ANY)(rng, raw)
    place = rng.choice(places)
    rng.choice(_STEPS)(rng, place, places, other)
    return write(nodes)


def _delete(_rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    del place.siblings[place.at]


def _repeat(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    times = rng.choice((1, 1, 2, 20, 2000))
    size = len(place.node.encoded())
    place.siblings[place.at : place.at] = [place.node] * min(times, 1 + 60_000 // (size + 1))


def _swap(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    at = rng.randrange(len(place.siblings))
    mine = place.siblings
    mine[place.at], mine[at] = mine[at], mine[place.at]


def _take_from_here(rng: Random, place: _Place, everything: list[_Place], _other: bytes) -> None:
    # As octets, so that no node holds itself.
    place.siblings[place.at] = Node(b"", octets=rng.choice(everything).node.encoded())


def _take_from_other(rng: Random, place: _Place, _all: list[_Place], other: bytes) -> None:
    found = _places(read(other))
    if found:
        place.siblings[place.at] = rng.choice(found).node


def _tag(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    if rng.random() < 0.3:
        place.node.tag = bytes([(place.node.tag or b"\0")[0] ^ rng.choice((0x20, 0x80, 0xC0, 1))])
    else:
        place.node.tag = bytes([rng.choice(_TAGS)])


def _contents(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    node = place.node
    match node.tag:
        case b"\x06":
            node.octets = rng.choice(OIDS)
        case b"\x02" if rng.random() < 0.7:
            node.octets = rng.choice(_INTEGERS)
        case _ if node.inside is None:
            node.octets = rng.choice(ANY)(rng, node.octets)
        case _:
            node.inside = []


def _form(rng: Random, place: _Place, everything: list[_Place], _other: bytes) -> None:
    chosen = everything if rng.random() < 0.2 else [place]
    form = rng.choice((-1, -1, 0, 1, 2, 4, 8, 9, 126))
    for item in chosen:
        # Of a primitive element only sometimes: nobody may send that.
        if form >= 0 or item.node.inside is not None or rng.random() < 0.1:
            item.node.form = form


def _lie(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    place.node.lie = rng.choice(_LIES)


def _chunk(rng: Random, place: _Place, everything: list[_Place], _other: bytes) -> None:
    """Put a string in pieces, however small, perhaps pieces of pieces."""
    strings = [item for item in everything if item.node.tag and item.node.tag[0] in _STRINGS]
    node = rng.choice(strings or [place]).node
    if node.inside is not None:
        node.inside = [Node(b"\x24", node.inside, form=rng.choice((0, -1)))]
        return
    size = rng.choice((1, 1, 2, 7, 100, 1000))
    size = max(size, len(node.octets) // 20_000)
    pieces = [node.octets[at : at + size] for at in range(0, len(node.octets), size)]
    node.inside = [Node(b"\x04", octets=piece) for piece in pieces]
    node.tag, node.octets = bytes([node.tag[0] | 0x20]) if node.tag else b"\x24", b""
    node.form = rng.choice((0, -1, -1))


def _nest(rng: Random, place: _Place, _all: list[_Place], _other: bytes) -> None:
    """Wrap an element many times."""
    tag = bytes([rng.choice((0x30, 0x31, 0x24, 0xA0))])
    depth = rng.choice((1, 1, 3, 31, 33, 2000))
    if rng.random() < 0.5:
        octets = (tag + b"\x80") * depth + place.node.encoded() + b"\0\0" * depth
    else:
        octets = place.node.encoded()
        for _ in range(min(depth, 300)):
            octets = tag + _length(len(octets), 0) + octets
    place.siblings[place.at] = Node(b"", octets=octets)


_STEPS = (
    _delete, _repeat, _swap, _take_from_here, _take_from_other, _tag, _contents, _contents, _form,
    _form, _lie, _chunk, _chunk, _nest,
)  # fmt: skip
