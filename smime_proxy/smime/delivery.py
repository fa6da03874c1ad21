"""Write an incoming message as it is delivered: outer header, fields of ours, and what was inside.

RFC 8551 3.3 and 3.5, RFC 9788 4.5 (header protection); E07, E28 and E65 say what of an inner
entity goes under the outer header.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity
from smime_proxy.message.entity import Defect, Entity
from smime_proxy.message.header import Field, HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.message.transfer_encoding import encode_base64

Fields: TypeAlias = Sequence[tuple[str, str]]
Octets: TypeAlias = bytes | memoryview
Pieces: TypeAlias = tuple[Octets, ...]

_TEXT = b"Content-Type: text/plain\r\n"
_FILE = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
_SPEAKS_FOR_US = re.compile(rb"^(?:x-smime-|authentication-results)", re.IGNORECASE | re.MULTILINE)
# A first paragraph with one of these fields is a header; anything else is text (E65).
_HEADER_FIELDS = frozenset(
    {"mime-version", "from", "to", "cc", "subject", "date", "message-id", "reply-to", "sender"}
)
_ONCE = frozenset({"content-type", "content-transfer-encoding", "content-class"})
_CLASS = "content-class"  # Exchange's word for the kind of the mail, not of its body (E24)


def as_it_came(outer: HeaderBlock, fields: Fields, entity: Entity) -> bytes:
    """Give the message with its body octet for octet, `fields` before its header.

    The empty line between both is written where the message has none.
    """
    head = _with_fields(outer, fields)
    behind = memoryview(entity.content)[entity.header_end : entity.end]
    return b"".join((bytes(head), _separator(entity), behind))


def as_it_came_without_claims(outer: HeaderBlock, entity: Entity) -> bytes:
    """Give a message nothing is told of: octet for octet, but for what went from its header.

    Where no empty line ends that, readers disagree about where it does; then one is written if
    fields of ours follow, so that they are body to everyone (E08).
    """
    behind = memoryview(entity.content)[entity.header_end : entity.end]
    separator = _separator(entity)
    if separator and not _SPEAKS_FOR_US.search(entity.content, entity.header_end, entity.end):
        separator = b""
    if outer is entity.header and not separator:
        return bytes(entity)
    return b"".join((bytes(outer), separator, behind))


def in_place_of_body(outer: HeaderBlock, fields: Fields, inner: Entity) -> bytes:
    """Give the message with an entity from inside as its body, CRLF throughout.

    Of the inner header only the Content-* fields come out, and of the outer one these go; only
    Content-Class stays where the inner entity has none of its own (E28).
    """
    gone = _is_content if inner.header.find(_CLASS) else _is_structural
    head = _with_fields(outer.remove(gone), fields)
    return b"".join((with_entity(head, b""), *_entity(inner)))


def closed_above(header: HeaderBlock) -> HeaderBlock:
    """Drop a first line that continues no field: it would continue the one we put before it."""
    if not bytes(header).startswith((b" ", b"\t")):
        return header
    return HeaderBlock(b"".join(field.raw for field in header.fields[1:]))


def _with_fields(outer: HeaderBlock, fields: Fields) -> HeaderBlock:
    for name, value in reversed(fields):
        outer = outer.prepend(name, value)
    return outer


def _separator(entity: Entity) -> bytes:
    return b"\r\n" if Defect.NO_BLANK_LINE in entity.defects else b""


def _is_content(field: Field) -> bool:
    return field.name.startswith("content-")


def _is_structural(field: Field) -> bool:
    return _is_content(field) and field.name != _CLASS


def _entity(payload: Entity) -> Pieces:
    """Write the inner entity: CRLF, Content-* fields only, a type if it has none (E65).

    Octets that are neither MIME nor text come as a file, for no mail server carries NUL on.
    A signed entity inside keeps its octets but for line ends, which verifiers canonicalise.
    """
    if not _has_header(payload):
        # An empty line in place of a header says only that there is none.
        start = payload.start if payload.header.fields else payload.body_start
        if payload.content.find(b"\0", start, payload.end) >= 0:
            return (_FILE, encode_base64(payload.content[start : payload.end]))
        return (_TEXT + b"\r\n", _with_crlf(payload, start))
    head = b"".join(_content_fields(payload)) or _TEXT
    if not head.endswith(b"\n"):  # a header without a body behind it
        head += b"\r\n"
    if any(part.is_leaf and part.transfer_encoding == "binary" for part in payload.walk()):
        # RFC 8551 3.1.3 allows it inside an encryption; no mail server would carry it on.
        whole = head + b"\r\n" + payload.body
        return (_crlf(canonical_entity(parse(whole))),)
    return (_crlf(head) + b"\r\n", _with_crlf(payload, payload.body_start))


def _has_header(payload: Entity) -> bool:
    names = {field.name for field in payload.header.fields}
    return not names.isdisjoint(_HEADER_FIELDS) or any(
        name.startswith("content-") for name in names
    )


def _content_fields(payload: Entity) -> Iterator[bytes]:
    """Give the Content-* fields; of what readers would disagree about, the first (E35)."""
    seen: set[str] = set()
    for found in payload.header.fields:
        if _is_content(found) and found.name not in seen & _ONCE:
            seen.add(found.name)
            # What stands behind a bare CR would become a field of its own, one of ours perhaps.
            kept, cut, _ = found.raw.replace(b"\r\n", b"\n").partition(b"\r")
            yield kept + b"\n" if cut else found.raw


def _with_crlf(payload: Entity, start: int) -> Octets:
    """Give the octets from an offset to the end; a view of them where nothing is to be mended."""
    content, end = payload.content, payload.end
    lines = content.count(b"\n", start, end)
    if lines == content.count(b"\r\n", start, end) == content.count(b"\r", start, end):
        return memoryview(content)[start:end]
    return _crlf(content[start:end])


def _crlf(raw: bytes) -> bytes:
    if raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r"):
        return raw
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
