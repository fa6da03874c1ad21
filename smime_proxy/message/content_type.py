"""Values with parameters: Content-Type and Content-Disposition, read the way mail writes them.

RFC 2045 5.1 (syntax), RFC 2231 (continuations and charsets), RFC 2183 (Content-Disposition).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from smime_proxy.message.encoded_word import decode_charset

_WORD = r"[!#$%&'+\-.0-9A-Z^_`a-z{|}~]++"  # a token without the star of RFC 2231
_PLAIN_PARAMETER = rf'({_WORD})[ \t]*+=[ \t]*+(?:"[ !#-:<-\[\]-~]*+"|[!#-\'*-:<-\[\]-~]++)[ \t]*+'
_PLAIN_VALUE = re.compile(
    rf"[ \t]*+{_WORD}/{_WORD}[ \t]*+(?:;[ \t]*+(?:{_PLAIN_PARAMETER})?)*", re.ASCII
)
_PLAIN_NAMES = re.compile(rf";[ \t]*+{_PLAIN_PARAMETER}")

MAX_SECTIONS = 1_000  # RFC 2231 continuations of one parameter; a name has fewer than ten

_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
_BETWEEN = re.compile(r"[;\s]*+")
_PARAMETER_NAME = re.compile(r"([^\s=;\"]++)\s*+=\s*+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SECTION = re.compile(r"([^*]+)\*(?:([0-9]{1,4})(\*)?)?")
_COMMENT_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|\\.?|[()]|[^"\\()]+', re.DOTALL)

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type with its parameters; type, subtype and parameter names in lower case."""

    type: str
    subtype: str
    parameters: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMETERS)

    @property
    def full(self) -> str:
        """Give `type/subtype`."""
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return self.full


TEXT_PLAIN = ContentType("text", "plain", MappingProxyType({"charset": "us-ascii"}))
MESSAGE_RFC822 = ContentType("message", "rfc822")


def read_content_type(value: str) -> ContentType | None:
    """Read a Content-Type value; None when it has no `type/subtype` (RFC 2045 5.1 and 5.2)."""
    media, parameters = read_parameters(value)
    main, slash, sub = media.partition("/")
    main, sub = main.strip().lower(), sub.strip().lower()
    if not slash or not _TOKEN.fullmatch(main) or not _TOKEN.fullmatch(sub):
        return None
    return ContentType(main, sub, parameters)


def read_parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """Split a value into what stands before the first `;` and its parameters.

    Parameter names come in lower case, quoting and RFC 2231 encoding undone. Of two with the same
    name the first counts, and a plain one counts before an RFC 2231 one. Linear in the value.
    """
    if "(" in value:
        value = _without_comments(value)
    head, semicolon, rest = value.partition(";")
    if not semicolon:
        return head.strip(), _NO_PARAMETERS
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, text in _parameters(rest):
        match = _SECTION.fullmatch(name)
        if match is None:
            plain.setdefault(name, text)
            continue
        number = int(match[2] or 0)
        extended = match[2] is None or match[3] is not None
        if number < MAX_SECTIONS:
            sections.setdefault(match[1], {}).setdefault(number, (text, extended))
    for name, numbered in sections.items():
        plain.setdefault(name, _joined(numbered))
    return head.strip(), MappingProxyType(plain)


def is_plain(value: str) -> bool:
    """Tell whether every reader finds the same type and parameters in a Content-Type value.

    Not so with comments, escapes, RFC 2231 forms, unclosed quotes, octets beyond ASCII, or a
    parameter that is given twice (RFC 2045 5.1).
    """
    if not _PLAIN_VALUE.fullmatch(value):
        return False
    names = [match[1].lower() for match in _PLAIN_NAMES.finditer(value)]
    return len(names) == len(set(names))


def _parameters(rest: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(rest):
        between = _BETWEEN.match(rest, position)
        position = between.end() if between else position
        name = _PARAMETER_NAME.match(rest, position)
        if name is None:
            position = _after_semicolon(rest, position)
            continue
        position = name.end()
        quoted = _QUOTED.match(rest, position)
        if quoted:
            text = quoted[1]
            yield name[1].lower(), _ESCAPE.sub(r"\1", text) if "\\" in text else text
            position = _after_semicolon(rest, quoted.end())
        else:
            end = _after_semicolon(rest, position)
            yield name[1].lower(), rest[position:end].rstrip("; \t\r\n")
            position = end


def _after_semicolon(text: str, position: int) -> int:
    found = text.find(";", position)
    return len(text) if found < 0 else found + 1


def _joined(numbered: Mapping[int, tuple[str, bool]]) -> str:
    """Join sections up to the first gap; the charset stands in the first (RFC 2231 4.1)."""
    first, extended = numbered.get(0, ("", False))
    charset = "utf-8"
    if extended and first.count("'") > 1:
        charset, _, first = first.split("'", 2)
    octets = [_section_octets(first, extended=extended)]
    number = 1
    while number in numbered:
        text, extended = numbered[number]
        octets.append(_section_octets(text, extended=extended))
        number += 1
    raw = b"".join(octets)
    decoded = decode_charset(raw, charset or "utf-8")
    return raw.decode("utf-8", "surrogateescape") if decoded is None else decoded


def _section_octets(text: str, *, extended: bool) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw) if extended else raw


def _without_comments(value: str) -> str:
    """Drop comments, but not parentheses inside a word: names like `copy(1).pdf` come unquoted."""
    kept: list[str] = []
    depth = 0
    after_word = False
    for match in _COMMENT_PIECE.finditer(value):
        piece = match[0]
        if depth and piece in "()":
            depth += 1 if piece == "(" else -1
        elif piece == "(" and not after_word:
            depth = 1
        elif not depth:
            kept.append(piece)
            after_word = piece[-1] not in " \t;/="
    return "".join(kept)
