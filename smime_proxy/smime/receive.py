"""Open and judge an incoming message, and write it as it is delivered.

RFC 8551 3.3 and 3.5; E07 and E65 say what of a decrypted entity goes under the outer header.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import FromError
from smime_proxy.message.header import Field, HeaderBlock, has_loose_lines
from smime_proxy.message.mailboxes import from_mailbox
from smime_proxy.message.parse import parse
from smime_proxy.smime.layers import Opened, open_layers
from smime_proxy.smime.report import Report, summarise
from smime_proxy.smime.sign import read_date
from smime_proxy.smime.status import mark_private
from smime_proxy.smime.verify import Claim, Trust

_TEXT = b"Content-Type: text/plain\r\n"
# A first paragraph with one of these fields is a header; anything else is text (E65).
_HEADER_FIELDS = frozenset(
    {"mime-version", "from", "to", "cc", "subject", "date", "message-id", "reply-to", "sender"}
)
_ONCE = frozenset({"content-type", "content-transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Received:
    """An incoming message opened as far as it goes, and the report on it."""

    entity: Entity
    opened: Opened = field(repr=False)
    report: Report

    def message(self, header: HeaderBlock, fields: Sequence[tuple[str, str]]) -> bytes:
        """Give the message as delivered: `header` with `fields` before it, and the body.

        `header` is the outer header without fields of ours. What was not decrypted keeps its body
        octet for octet; what was is marked private, keeps the outer header, and takes from the
        inner one only the Content-* fields.
        """
        payload = self.opened.payload
        outer = _closed_above(header)
        if payload is not None:
            outer = mark_private(outer).remove(_is_content)
        for name, value in reversed(fields):
            outer = outer.prepend(name, value)
        if payload is None:
            entity = self.entity
            return bytes(outer) + entity.content[entity.header_end : entity.end]
        return with_entity(outer, _delivered(payload))


def receive(entity: Entity, keys: Sequence[DecryptionKey], trust: Trust, at: datetime) -> Received:
    """Open a message with the keys given and judge it at a time, aware UTC; raises nothing."""
    opened = open_layers(entity, keys, trust, claim_of(entity.header), at)
    return Received(entity, opened, summarise(opened.layers))


def claim_of(header: HeaderBlock) -> Claim:
    """Give what signatures are held against: From and Date of the outer header (E03, E19)."""
    date = read_date(header)
    if has_loose_lines(header):
        return Claim(None, date, "a line of the header is no field")
    try:
        return Claim(from_mailbox(header), date)
    except FromError as error:
        return Claim(None, date, str(error))


def _closed_above(header: HeaderBlock) -> HeaderBlock:
    """Drop a first line that continues no field: it would continue the one we put before it."""
    if not bytes(header).startswith((b" ", b"\t")):
        return header
    return HeaderBlock(b"".join(field.raw for field in header.fields[1:]))


def _is_content(field: Field) -> bool:
    return field.name.startswith("content-")


def _delivered(payload: Entity) -> bytes:
    """Write the inner entity for delivery: CRLF, Content-* fields only, a type if it has none.

    A signed entity inside keeps its octets but for line ends, which verifiers canonicalise.
    """
    if not _has_header(payload):
        return _TEXT + b"\r\n" + _crlf(_text(payload))
    head = b"".join(_content_fields(payload)) or _TEXT
    if not head.endswith(b"\n"):  # a header without a body behind it
        head += b"\r\n"
    whole = head + b"\r\n" + payload.body
    if any(part.is_leaf and part.transfer_encoding == "binary" for part in payload.walk()):
        # RFC 8551 3.1.3 allows it inside an encryption; no mail server would carry it on.
        whole = canonical_entity(parse(whole))
    return _crlf(whole)


def _has_header(payload: Entity) -> bool:
    names = {field.name for field in payload.header.fields}
    return not names.isdisjoint(_HEADER_FIELDS) or any(
        name.startswith("content-") for name in names
    )


def _text(payload: Entity) -> bytes:
    """Give all of an entity without header; an empty line in its place says only that."""
    return bytes(payload) if payload.header.fields else payload.body


def _content_fields(payload: Entity) -> Iterator[bytes]:
    """Give the Content-* fields; of what readers would disagree about, the first (E35)."""
    seen: set[str] = set()
    for found in payload.header.fields:
        if _is_content(found) and found.name not in seen & _ONCE:
            seen.add(found.name)
            # What stands behind a bare CR would become a field of its own, one of ours perhaps.
            kept, cut, _ = found.raw.replace(b"\r\n", b"\n").partition(b"\r")
            yield kept + b"\n" if cut else found.raw


def _crlf(raw: bytes) -> bytes:
    if raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r"):
        return raw
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
