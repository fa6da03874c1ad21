"""Take out of a decrypted payload what repeats its Subject for readers without header protection.

RFC 9788 4.5.3 (`hp-legacy-display`), draft-autocrypt-lamps-protected-headers 4.4 (the part of
its own that older clients wrote). What does not look exactly like it stays: no text is lost.
"""

import re
from collections.abc import Iterator

from smime_proxy.message.entity import Entity, decode_octets
from smime_proxy.message.parse import parse
from smime_proxy.message.transfer_encoding import (
    encode_base64,
    encode_quoted_printable,
    is_clear_base64,
    is_clear_quoted_printable,
)
from smime_proxy.smime.protected_headers import Protected, Scheme

MAX_DISPLAY = 16_384  # octets looked at; a Subject and a few addresses take some hundred

_MARK = "hp-legacy-display"
_LINES = re.compile(  # `Name: value` with continuations, then an empty line
    rb"(?:[!-9;-~]++:[^\r\n]*+\r?\n(?:[ \t]++[^\s][^\r\n]*+\r?\n)*)+\r?\n"
)
_ONLY_LINES = re.compile(
    rb"\s*+(?:[!-9;-~]++:[^\r\n]*+(?:\r?\n|\Z)(?:[ \t]++[^\s][^\r\n]*+(?:\r?\n|\Z))*)+\s*+"
)
_BODY = re.compile(rb"<body\b[^<>]*+>\s*+", re.IGNORECASE)
_DIV = re.compile(
    rb"""<div\s++class=["']?header-protection-legacy-display["']?\s*+>[^<]*+"""
    rb"""(?:<(?!/?div\b)[^<]*+)*</div\s*+>\s*+""",
    re.IGNORECASE,
)
_V1_TYPES = frozenset({"text/plain", "text/rfc822-headers"})
_V1_PARTS = 2  # the display and what it is shown above


def without_legacy_display(protected: Protected) -> Entity:
    """Give the body without its legacy display elements; the same entity when it has none."""
    match protected.scheme:
        case Scheme.CIPHER:
            return _without_elements(protected.body)
        case Scheme.V1:
            return _without_part(protected.body)
        case Scheme.CLEAR | Scheme.WRAPPED:  # nothing was hidden that would have to be shown
            return protected.body


def _without_elements(root: Entity) -> Entity:
    pieces: list[bytes] = []
    position = root.start
    for leaf in _main_parts(root):
        body = _cut(leaf)
        if body is not None:
            pieces += (root.content[position : leaf.body_start], body)
            position = leaf.end
    if not pieces:
        return root
    return parse(b"".join((*pieces, root.content[position : root.end])))


def _main_parts(root: Entity) -> Iterator[Entity]:
    """Give the leaves a mail program shows as the text of the message (RFC 9787 7.1)."""
    waiting = [root]
    while waiting:
        entity = waiting.pop(0)
        if entity.is_leaf:
            marked = entity.content_type.parameters.get(_MARK) == "1"
            if marked and entity.disposition != "attachment":
                yield entity
        elif entity.content_type.full == "multipart/alternative":
            waiting.extend(entity.children)
        elif entity.content_type.full in {"multipart/mixed", "multipart/related"}:
            waiting.append(entity.children[0])


def _cut(leaf: Entity) -> bytes | None:
    """Give the body of a leaf without the element, encoded as before; None to leave it."""
    body, encoding = leaf.body, leaf.transfer_encoding
    clear = {"base64": is_clear_base64, "quoted-printable": is_clear_quoted_printable}
    if encoding in clear and not clear[encoding](body):
        return None
    decoded = decode_octets(body, encoding)
    span = _element(decoded, leaf.content_type.full)
    if span is None:
        return None
    kept = decoded[: span[0]] + decoded[span[1] :]
    match encoding:
        case "base64":
            return encode_base64(kept)
        case "quoted-printable":
            return encode_quoted_printable(kept.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        case _:
            return kept


def _element(decoded: bytes, kind: str) -> tuple[int, int] | None:
    if kind == "text/plain":
        lines = _LINES.match(decoded, 0, MAX_DISPLAY)
        return lines.span() if lines else None
    if kind == "text/html":
        body = _BODY.search(decoded, 0, MAX_DISPLAY)
        if body:
            division = _DIV.match(decoded, body.end(), body.end() + MAX_DISPLAY)
            return division.span() if division else None
    return None


def _without_part(root: Entity) -> Entity:
    """Drop a first part that only repeats fields, with the delimiter before it."""
    if root.content_type.full != "multipart/mixed" or len(root.children) != _V1_PARTS:
        return root
    display, shown = root.children
    if (
        display.content_type.full not in _V1_TYPES
        or display.content_type.parameters.get("protected-headers", "").lower() != "v1"
        or display.disposition == "attachment"
        or len(display.body) > MAX_DISPLAY
        or not _ONLY_LINES.fullmatch(decode_octets(display.body, display.transfer_encoding))
    ):
        return root
    content = root.content
    return parse(content[root.start : display.start] + content[shown.start : root.end])
