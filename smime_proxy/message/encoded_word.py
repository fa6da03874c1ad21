"""Encoded words of header values: decode them in linear time, encode text that needs it.

RFC 2047 (encoded words), RFC 2231 5 (language suffix of the charset).
"""

import binascii
import re
import string
from collections.abc import Iterator

MAX_DECODED_TEXT = 102_400  # characters of one value that are decoded; the cap of one field

# Only these are looked up: Python imports a module for every unknown codec name and keeps the
# failure for ever, and some codecs (punycode, idna) are quadratic.
_CHARSET = re.compile(
    r"(?:us-)?ascii|ansi_x3\.4-1968|utf-?8|utf-7|utf-16(?:le|be)?|latin-?1"
    r"|iso-?8859-(?:[1-9]|1[013-6])|(?:windows-?|cp)(?:125[0-8]|874)|cp(?:437|850|866|932|949)"
    r"|iso-2022-(?:jp|kr)|euc[-_](?:jp|kr)|shift[-_]jis|sjis|ks_c_5601-1987|gb2312|gbk|gb18030"
    r"|hz-gb-2312|big5(?:-hkscs)?|koi8-[ru]|macintosh|tis-620"
)
_CODECS = {"hz-gb-2312": "hz", "windows-874": "cp874", "ansi_x3.4-1968": "ascii"}

# Every part stops at the next question mark, so no start is scanned twice.
_WORD = re.compile(r"=\?([^?\s]*)\?([bBqQ])\?([^?]*)\?=")
_MAX_PLAIN_OCTETS = 45  # of UTF-8 in one word: 60 base64 characters plus 12 of frame, below 75
_NOT_BASE64 = bytes(set(range(256)) - set(string.ascii_letters.encode() + b"0123456789+/"))


def decode_text(value: str) -> str:
    """Decode the encoded words of an unfolded value, at most `MAX_DECODED_TEXT` characters.

    Words in charsets nobody uses stay as they are, octets that do not decode become U+FFFD.
    Linear in the length of the value (RFC 2047 6.2).
    """
    value = value[:MAX_DECODED_TEXT]
    if "=?" not in value:
        return value
    return "".join(_decoded_pieces(value))


def encode_text(text: str) -> str:
    """Encode text as UTF-8 encoded words, folded with CRLF and a space (RFC 2047 2).

    Text of printable ASCII that holds no `=?` is returned as it is.
    """
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text
    words = []
    for chunk in _chunks(text):
        encoded = binascii.b2a_base64(chunk, newline=False).decode("ascii")
        words.append(f"=?utf-8?B?{encoded}?=")
    return "\r\n ".join(words)


def decode_charset(raw: bytes, charset: str) -> str | None:
    """Decode octets in a charset named by a stranger; None when it is not one in use."""
    name = charset.lower()
    if not _CHARSET.fullmatch(name):
        return None
    try:
        return raw.decode(_CODECS.get(name, name), "replace")
    except LookupError:
        return None


def _decoded_pieces(value: str) -> Iterator[str]:
    position = 0
    run: list[re.Match[str]] = []  # adjacent words in one charset: characters are split over them
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        adjacent = bool(run) and not between.strip()
        if not adjacent or _charset(match) != _charset(run[-1]):
            yield _decoded_run(run)
            run = []
        if not adjacent:
            yield between
        run.append(match)
        position = match.end()
    yield _decoded_run(run)
    yield value[position:]


def _charset(word: re.Match[str]) -> str:
    return word[1].partition("*")[0].lower()


def _decoded_run(words: list[re.Match[str]]) -> str:
    if not words:
        return ""
    raw = b"".join(_word_octets(word[2], word[3]) for word in words)
    decoded = decode_charset(raw, _charset(words[0]))
    return " ".join(word[0] for word in words) if decoded is None else decoded


def _word_octets(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    return decode_base64(raw)


def decode_base64(raw: bytes | memoryview) -> bytes:
    """Decode base64 as mail has it: foreign characters skipped, padding mended (RFC 2045 6.8)."""
    try:
        return binascii.a2b_base64(raw)
    except binascii.Error:
        clean = bytes(raw).partition(b"=")[0].translate(None, _NOT_BASE64)
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _chunks(text: str) -> Iterator[bytes]:
    chunk = b""
    for char in text:
        octets = char.encode("utf-8", "surrogateescape")
        if len(chunk) + len(octets) > _MAX_PLAIN_OCTETS:
            yield chunk
            chunk = b""
        chunk += octets
    yield chunk
