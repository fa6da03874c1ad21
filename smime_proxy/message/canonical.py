"""The MIME entity that gets signed: what a message says, in a form no relay has reason to change.

RFC 8551 3.1.1 (canonicalisation), 3.1.3 (transfer encoding), RFC 1847 2.1, RFC 2045 6.4.
"""

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

from smime_proxy.message.entity import IDENTITY_ENCODINGS, Defect, Entity, decode_octets
from smime_proxy.message.header import Field, HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.message.transfer_encoding import (
    encode_base64,
    encode_quoted_printable,
    is_clear_base64,
    is_clear_quoted_printable,
    is_safe,
    is_seven_bit,
    suits_quoted_printable,
)

Encoding: TypeAlias = Literal["7bit", "quoted-printable", "base64"]
Pieces: TypeAlias = list[bytes]

_CRLF = b"\r\n"
_LONE_LF = re.compile(rb"(?<!\r)\n")
_CONTENT_TYPE = "content-type"
_TRANSFER_ENCODING = "content-transfer-encoding"

# Readers disagree about where such an entity begins or how it is encoded, so nobody can say what
# it decodes to.
_BROKEN = frozenset({Defect.NO_BLANK_LINE, Defect.NOT_A_FIELD})
_UNTOUCHABLE_MULTIPARTS = frozenset({"signed", "encrypted"})  # RFC 1847 2
_UNTOUCHABLE_MESSAGES = frozenset({"partial", "external-body"})  # RFC 2046 5.2.2 and 5.2.3
# These must stay 7bit; programs read them without decoding (RFC 3464 2.1, 8098, 5965, 3886).
_REPORTS = frozenset(
    {"delivery-status", "disposition-notification", "feedback-report", "tracking-status"}
)


def canonical_entity(entity: Entity) -> bytes:
    """Give the entity of a message that is signed or encrypted: its Content-* fields and its body.

    Every leaf comes out 7bit, quoted-printable or base64 and decodes to the same octets; what is
    safe already stays octet for octet (E31, E32). Multiparts and message/rfc822 lose a transfer
    encoding of their own. Left alone, even if not 7bit: multipart/signed and multipart/encrypted,
    message/partial, 7bit status reports, unknown encodings, bodies decoders read differently and
    broken MIME. Line ends are CRLF.

    Never two Content-Type fields (E35), the first counts; a message without one gets
    `text/plain`, with `charset=us-ascii` where that is true, because some clients show a part
    with an empty header as an attachment. Raises only what `parse` does, on content with LF.
    """
    entity = _with_crlf(entity)
    fields = _moving_fields(entity)
    if not entity.header.find(_CONTENT_TYPE):
        fields.insert(0, Field(_default_content_type(entity)))
    pieces: Pieces = []
    _write(entity, fields, _CRLF, pieces)
    return b"".join(pieces)


def outer_header(header: HeaderBlock) -> HeaderBlock:
    """Give the fields of a message that stay outside the signed entity: all but Content-* (E35).

    Line ends are CRLF; MIME-Version is added by the builders.
    """
    moved = [field.name for field in header.starting("content-")]
    kept = header.remove(moved)
    raw = _crlf(bytes(kept))
    return kept if raw == bytes(kept) else HeaderBlock(raw)


def needs_8bit(content: bytes) -> bool:
    """Tell whether the content can only be sent with BODY=8BITMIME (RFC 6152)."""
    return not content.isascii()


def _with_crlf(entity: Entity) -> Entity:
    if entity.content.find(_CRLF) >= 0 or entity.content.find(b"\n") < 0:
        return entity
    return parse(bytes(entity).replace(b"\n", _CRLF))


def _moving_fields(entity: Entity) -> list[Field]:
    once = {_CONTENT_TYPE, _TRANSFER_ENCODING}
    fields = []
    for field in entity.header.starting("content-"):
        name = field.name
        if name in once or name not in (_CONTENT_TYPE, _TRANSFER_ENCODING):
            fields.append(field)
        once.discard(name)
    return fields


def _default_content_type(entity: Entity) -> bytes:
    # RFC 2045 5.2; naming us-ascii over octets above 127 would keep readers from guessing well.
    charset = b"; charset=us-ascii" if entity.body.isascii() else b""
    return b"Content-Type: text/plain" + charset + _CRLF


def _write(entity: Entity, fields: Iterable[Field], separator: bytes, pieces: Pieces) -> bool:
    """Append one entity; tell whether all of it is 7bit."""
    if _is_untouchable(entity):
        return _write_as_it_is(fields, separator, entity.body, pieces)
    if entity.children:
        return _write_composite(entity, fields, separator, pieces)
    return _write_leaf(entity, fields, separator, pieces)


def _is_untouchable(entity: Entity) -> bool:
    kind = entity.content_type
    match kind.type:
        case "multipart":
            return kind.subtype in _UNTOUCHABLE_MULTIPARTS or not entity.children
        case "message" if kind.subtype in _UNTOUCHABLE_MESSAGES:
            return True
        case "message" if kind.subtype in _REPORTS and is_seven_bit(entity.body):
            return True
    return not _BROKEN.isdisjoint(entity.defects)


def _write_as_it_is(fields: Iterable[Field], separator: bytes, body: bytes, pieces: Pieces) -> bool:
    pieces += (_joined(fields), separator, body)
    return body.isascii()


def _write_leaf(entity: Entity, fields: Iterable[Field], separator: bytes, pieces: Pieces) -> bool:
    body = entity.body
    encoding = entity.transfer_encoding
    if is_safe(body) and encoding not in ("8bit", "binary"):
        return _write_as_it_is(fields, separator, body, pieces)
    chosen = _chosen_encoding(entity, body, encoding)
    if chosen is None:
        return _write_as_it_is(fields, separator, body, pieces)
    decoded = decode_octets(body, encoding)
    pieces += (_joined(_with_encoding(fields, chosen)), separator, _encoded(decoded, chosen))
    return True


def _chosen_encoding(entity: Entity, body: bytes, encoding: str) -> Encoding | None:
    """Choose for a leaf that cannot stay as it is; None when it must (E31, broken or unknown)."""
    if encoding in IDENTITY_ENCODINGS:
        if is_safe(body):
            return "7bit"
        is_text = entity.content_type.type in ("text", "message")
        return "quoted-printable" if is_text and suits_quoted_printable(body) else "base64"
    if encoding == "quoted-printable" and is_clear_quoted_printable(body):
        return "quoted-printable"
    if encoding == "base64" and is_clear_base64(body):
        return "base64"
    return None


def _encoded(raw: bytes, encoding: Encoding) -> bytes:
    match encoding:
        case "7bit":
            return raw
        case "quoted-printable":
            return encode_quoted_printable(raw)
        case "base64":
            return encode_base64(raw)


def _write_composite(
    entity: Entity, fields: Iterable[Field], separator: bytes, pieces: Pieces
) -> bool:
    place = len(pieces)
    is_7bit = True
    position = entity.body_start
    for child in entity.children:
        between = _crlf(entity.content[position : child.start])
        pieces.append(between)
        is_embedded = not entity.is_multipart
        is_7bit &= _write_child(child, pieces, is_message=is_embedded) and between.isascii()
        position = child.end
    tail = _crlf(entity.content[position : entity.end])
    pieces.append(tail)
    is_7bit &= tail.isascii()
    kept = _without_encoding(fields) if is_7bit else fields
    pieces[place:place] = (_joined(kept), separator)
    return is_7bit


def _write_child(child: Entity, pieces: Pieces, *, is_message: bool) -> bool:
    separator = child.content[child.header_end : child.body_start]
    place = len(pieces)
    is_7bit = _write(child, child.header.fields, _crlf(separator), pieces)
    if is_message and not child.header.find("mime-version"):
        changed = pieces[place] != _joined(child.header.fields)
        if changed:  # an encoding means nothing in a message that does not say it is MIME
            pieces.insert(place, b"MIME-Version: 1.0\r\n")
    return is_7bit and bytes(child.header).isascii()


def _with_encoding(fields: Iterable[Field], encoding: Encoding) -> list[Field]:
    line = Field(b"Content-Transfer-Encoding: " + encoding.encode("ascii") + _CRLF)
    kept = [line if field.name == _TRANSFER_ENCODING else field for field in fields]
    if line not in kept and encoding != "7bit":
        kept.append(line)
    return kept


def _without_encoding(fields: Iterable[Field]) -> list[Field]:
    return [
        field
        for field in fields
        if field.name != _TRANSFER_ENCODING or field.value.lower() == "7bit"
    ]


def _joined(fields: Iterable[Field]) -> bytes:
    raw = _crlf(b"".join(field.raw for field in fields))
    # The last line of a message that ends inside its header has no line end.
    return raw if not raw or raw.endswith(b"\n") else raw + _CRLF


def _crlf(raw: bytes) -> bytes:
    if raw.count(b"\n") == raw.count(_CRLF):
        return raw
    return _LONE_LF.sub(_CRLF, raw)
