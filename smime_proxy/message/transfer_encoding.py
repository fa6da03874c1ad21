"""Transfer encodings that survive any relay: is this body safe, and if not, encode it.

RFC 2045 6.7 (quoted-printable), 6.8 (base64), RFC 2049 3 (what gateways do to lines).
"""

import binascii
import re
import string
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TypeAlias

Octets: TypeAlias = bytes | bytearray | memoryview

MAX_LINE_OCTETS = 998  # without CRLF, RFC 5322 2.1.1
_ENCODED_LINE = 76  # RFC 2045 6.7 and 6.8
_BASE64_LINE = 57  # octets that make an encoded line
_BASE64_CHUNK = 1024 * _BASE64_LINE  # octets encoded at a time; bounds what is held besides
_MAX_ESCAPED_SHARE = 4  # quoted-printable pays while at most one octet in four is escaped

_CRLF = b"\r\n"
_FOREIGN = re.compile(rb"[^\t -<>-~]")
_LINES = 1024  # joined at a time: `join` takes 80 octets for each piece, be it empty
_ESCAPED_CHUNK = 4096  # octets of a line at a time: each escape is an object while they are made
_UNESCAPED = b"\t\r\n" + bytes(range(ord(" "), ord("~") + 1))
_BASE64_BODY = re.compile(rb"[A-Za-z0-9+/\s]*+=?\s*+=?\s*+")
_BLANKS = b" \t\r\n\v\f"
_BASE64_OCTETS = string.ascii_letters.encode() + string.digits.encode() + b"+/" + _BLANKS
_PADDINGS = (b"", b"=", b"==")  # RFC 2045 6.8
_UNCLEAR_QUOTED_PRINTABLE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)|[ \t](?=\r?\n|\Z)")


def is_safe(body: bytes) -> bool:
    """Tell whether no relay or mailbox format will change the body on its way (E32).

    Not so with octets above 127, NUL, lone CR or LF, lines over 998 octets, blanks before a line
    end, and lines that begin with a dot or `From `.
    """
    if not is_seven_bit(body):
        return False
    line_ends = body.count(_CRLF)
    if line_ends != body.count(b"\n") or line_ends != body.count(b"\r"):
        return False
    # The search for one octet is many times faster, and base64 has none of these three.
    if b" " in body and (b" \r" in body or b"\nFrom " in body or body.startswith(b"From ")):
        return False
    if b"\t" in body and b"\t\r" in body:
        return False
    if b"." in body and (b"\n." in body or body.startswith(b".")):
        return False
    return not body.endswith((b" ", b"\t"))


def is_seven_bit(body: bytes) -> bool:
    """Tell whether the body needs no encoding to be sent: RFC 2045 2.7, line ends not looked at."""
    return body.isascii() and b"\0" not in body and not _has_long_line(body)


def encode_quoted_printable(raw: bytes) -> bytes:
    """Encode in lines of at most 76 octets; CRLF stays a line end, lone CR and LF are escaped.

    Dots and the F of `From ` at a line start and blanks at a line end are escaped too, and the
    last line never ends in a soft break (E32, RFC 2045 6.7, RFC 2049 3).
    """
    lines = raw.split(_CRLF)
    groups = (lines[at : at + _LINES] for at in range(0, len(lines), _LINES))
    return _CRLF.join(_CRLF.join(map(_encoded_line, group)) for group in groups)


def encode_base64(raw: bytes) -> bytes:
    """Encode in lines of 76 characters, each ended by CRLF (RFC 2045 6.8)."""
    text = BytesIO()  # grows in place and hands its buffer over: nothing is held twice
    text.writelines(base64_lines((raw,)))
    return text.getvalue()


def base64_lines(pieces: Iterable[Octets]) -> Iterator[bytes]:
    """Encode what the pieces are together as `encode_base64` does, some lines at a time."""
    rest = b""
    for chunk in _base64_chunks(pieces):
        raw = rest + chunk
        end = len(raw) - len(raw) % _BASE64_LINE
        rest = raw[end:]
        if end:
            yield _in_lines(binascii.b2a_base64(memoryview(raw)[:end], newline=False))
    if rest:
        yield _in_lines(binascii.b2a_base64(rest, newline=False))


def suits_quoted_printable(raw: bytes) -> bool:
    """Tell whether text stays shorter and readable as quoted-printable rather than base64."""
    return len(raw.translate(None, _UNESCAPED)) * _MAX_ESCAPED_SHARE <= len(raw)


def is_clear_quoted_printable(body: bytes) -> bool:
    """Tell whether every decoder reads the same out of the body (RFC 2045 6.7).

    Not so with a stray `=`, nor with blanks before a line end: the RFC deletes them, Python's and
    other decoders keep them.
    """
    return _UNCLEAR_QUOTED_PRINTABLE.search(body) is None


def is_clear_base64(body: bytes) -> bool:
    """Tell whether every decoder reads the same out of the body: nothing foreign, right padding."""
    match = _BASE64_BODY.fullmatch(body)
    return match is not None and len(body.translate(None, b" \t\r\n\v\f")) % 4 == 0


def is_bare_base64(body: Octets) -> bool:
    """Tell whether nothing stands beside the base64, which decoders pass over unseen."""
    padding = b""
    for chunk in _base64_chunks((body,)):
        raw = bytes(chunk)
        padded = bool(padding)
        padding += raw.translate(None, _BASE64_OCTETS)
        if padding not in _PADDINGS:
            return False
        # Nothing but blanks may follow where the padding begins.
        behind = raw if padded else raw[raw.index(b"=") :] if padding else b""
        if behind.translate(None, _BLANKS + b"="):
            return False
    return True


def decode_base64_start(head: bytes) -> bytes:
    """Decode the head of base64 that goes on; nothing where something else stands in it.

    Whatever follows, `decode_base64` of the whole begins with this.
    """
    clean = head.translate(None, _BLANKS)
    if clean.translate(None, _BASE64_OCTETS):
        return b""
    return binascii.a2b_base64(clean[: len(clean) // 4 * 4])


def _base64_chunks(pieces: Iterable[Octets]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        yield from (view[at : at + _BASE64_CHUNK] for at in range(0, len(view), _BASE64_CHUNK))


def _in_lines(text: bytes) -> bytes:
    lines = [text[at : at + _ENCODED_LINE] for at in range(0, len(text), _ENCODED_LINE)]
    lines.append(b"")
    return _CRLF.join(lines)


def _has_long_line(body: bytes) -> bool:
    position = 0
    # A jump to the last line end in reach, so that each octet is looked at about once.
    while len(body) - position > MAX_LINE_OCTETS:
        line_end = body.rfind(b"\n", position, position + MAX_LINE_OCTETS + 2)
        if line_end < 0:
            return True
        position = line_end + 1
    return False


def _encoded_line(line: bytes) -> bytes:
    encoded = _escaped(line)
    if len(encoded) <= _ENCODED_LINE and not encoded.startswith((b".", b"From ")):
        return encoded
    return b"=\r\n".join(_soft_lines(encoded))


def _escaped(line: bytes) -> bytes:
    """Escape what is no safe ASCII, and a blank at the end, some octets at a time."""
    chunks = (line[at : at + _ESCAPED_CHUNK] for at in range(0, len(line), _ESCAPED_CHUNK))
    encoded = b"".join(_FOREIGN.sub(_escape, chunk) for chunk in chunks)
    return encoded[:-1] + b"=%02X" % encoded[-1] if encoded.endswith((b" ", b"\t")) else encoded


def _escape(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % match[0][0]


def _soft_lines(encoded: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(encoded):
        mark = b""
        if encoded.startswith((b".", b"From "), position):
            mark = b"=%02X" % encoded[position]
            position += 1
        room = _ENCODED_LINE - len(mark)
        if len(encoded) - position <= room:
            yield mark + encoded[position:]
            return
        end = position + room - 1  # the soft break takes one
        escape = encoded.rfind(b"=", end - 2, end)
        if escape >= 0:
            end = escape
        yield mark + encoded[position:end]
        position = end
