"""Address fields taken apart by an own tokenizer: linear, bounded, and strict where it must be.

RFC 5322 3.2.2, 3.2.4 and 3.4 (comments, quoted strings, mailboxes and groups).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from smime_proxy.message.errors import TooComplex

MAX_COMMENT_DEPTH = 20  # every standard parser overflows its stack somewhere above
MAX_ADDRESSES = 2_000  # in one field; the largest lists a client writes have hundreds
MAX_TOKENS = 40_000  # in one field: twenty for each address, more than a long name needs


class Kind(Enum):
    """What a token of an address field is."""

    BLANK = "white space"
    COMMENT = "comment"
    ATOM = "run of characters without special meaning"
    QUOTED = "quoted string, quotes included"
    LITERAL = "domain literal, brackets included"
    SPECIAL = "one of < > : ; , @ ."
    BAD = "control character, backslash, stray or unclosed parenthesis, quote or bracket"


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it stands in the field."""

    kind: Kind
    text: str


_TOKEN = re.compile(
    r"(?P<BLANK>[ \t]++)"
    r'|(?P<ATOM>[^\x00-\x20\x7f"()<>\[\]:;,@.\\]++)'
    r'|(?P<QUOTED>"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*")'
    r"|(?P<LITERAL>\[[^\[\]\\\x00-\x20\x7f]*+\])"
    r"|(?P<SPECIAL>[<>:;,@.])"
)
_KINDS: dict[str | None, Kind] = {kind.name: kind for kind in Kind}
_COMMENT_PIECE = re.compile(r"[^()\\]++|\\.|[()]", re.DOTALL)


def tokens(value: str) -> Iterator[Token]:
    """Split an unfolded value into tokens whose texts, joined, are the value again.

    What opens and never closes is one BAD token up to the end. Raises `TooComplex` for comments
    nested deeper than `MAX_COMMENT_DEPTH` and beyond `MAX_TOKENS`.
    """
    position = 0
    count = 0
    while position < len(value):
        count += 1
        if count > MAX_TOKENS:
            raise TooComplex("an address field is too long")
        if value[position] == "(":
            end = _comment_end(value, position)
            kind = Kind.COMMENT if end else Kind.BAD
            end = end or len(value)
        else:
            match = _TOKEN.match(value, position)
            # An unclosed quote or bracket swallows the rest, as readers of it may do.
            kind = _KINDS[match.lastgroup] if match else Kind.BAD
            end = match.end() if match else _bad_end(value, position)
        yield Token(kind, value[position:end])
        position = end


def elements(value: str) -> Iterator[list[Token]]:
    """Split an address list at its commas, groups dissolved into their members (RFC 5322 3.4).

    Raises `TooComplex` beyond `MAX_ADDRESSES` elements.
    """
    count = 1
    element: list[Token] = []
    in_angle = False
    for token in tokens(value):
        special = token.text if token.kind is Kind.SPECIAL else ""
        if special in ("<", ">"):
            in_angle = special == "<"
        if special in (",", ";") and not in_angle:
            count += 1
            if count > MAX_ADDRESSES:
                raise TooComplex("an address field names too many addresses")
            yield element
            element = []
        elif special == ":" and not in_angle:
            element = []  # what stood before is the display name of a group
        else:
            element.append(token)
    yield element


def strip_blank(element: Sequence[Token]) -> Sequence[Token]:
    """Drop white space and comments around an element (CFWS, RFC 5322 3.2.2)."""
    outer = (Kind.BLANK, Kind.COMMENT)
    first, last = 0, len(element)
    while first < last and element[first].kind in outer:
        first += 1
    while last > first and element[last - 1].kind in outer:
        last -= 1
    return element[first:last]


def _comment_end(value: str, position: int) -> int:
    """Give the position behind the comment that opens here, 0 when it never closes."""
    depth = 0
    for match in _COMMENT_PIECE.finditer(value, position):
        piece = match[0]
        if piece == "(":
            depth += 1
            if depth > MAX_COMMENT_DEPTH:
                raise TooComplex("comments are nested too deep")
        elif piece == ")":
            depth -= 1
            if not depth:
                return match.end()
    return 0


def _bad_end(value: str, position: int) -> int:
    return len(value) if value[position] in '"[' else position + 1
