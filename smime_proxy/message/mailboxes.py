"""Whom the address fields name: strictly for identity, leniently for what must not be overlooked.

RFC 5322 3.4 and 3.6.2 (From, To, Cc), RFC 2047 5 (encoded words in phrases).
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.message.address_list import (
    MAX_ADDRESSES,
    Kind,
    Token,
    elements,
    strip_blank,
    tokens,
)
from smime_proxy.message.errors import FromError, TooComplex
from smime_proxy.message.header import HeaderBlock, decode_text

SingleFrom: TypeAlias = Mailbox

_OPEN = Token(Kind.SPECIAL, "<")
_CLOSE = Token(Kind.SPECIAL, ">")
_PHRASE = (Kind.ATOM, Kind.QUOTED, Kind.BLANK, Kind.COMMENT)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_AT_SIGNS = re.compile("[\uff20\ufe6b]")  # full width and small: shown like an at sign
_DELIMITERS = re.compile(r"[\s<>\"(),:;\[\]\\\x00-\x1f\x7f]+")
_EDGES = ".'"  # people put addresses between these
_UNDECODED = re.compile(r"=\?[^?\s]*\?[bBqQ]\?")  # unknown charset, unclosed or nested word
# Bounded, because each quote of many may begin one; 64 octets, all of them escaped.
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\]|\\.){0,64}"@[^\s<>"(),:;@\[\]\\]++', re.DOTALL)
_MAX_CANDIDATES = 2 * MAX_ADDRESSES  # an address in an obsolete form is read in two ways
_MAX_MAILBOX_CHARACTERS = 320  # 64 + 1 + 255; longer is no mailbox, RFC 5321 4.5.3.1


def from_mailbox(header: HeaderBlock) -> SingleFrom:
    """Give the one mailbox of the one From field (E03).

    Raises `FromError` for anything a reader could take for another sender: no or several fields,
    none or several mailboxes, group, route, text behind `>`, blanks or comments inside the
    address, an address in name or comment that differs, an encoded word nobody can decode.
    """
    fields = header.find("from")
    if len(fields) != 1:
        raise FromError("there is no From field" if not fields else "there are several From fields")
    try:
        found = list(tokens(fields[0].value))
    except TooComplex as error:
        raise FromError(str(error)) from error
    if any(token.kind is Kind.BAD for token in found):
        raise FromError("the From field is malformed")
    mailbox, shown = _sole_mailbox(strip_blank(found))
    comments = (token.text for token in found if token.kind is Kind.COMMENT)
    _check_shown(" ".join((shown, *comments)), mailbox)
    return mailbox


def visible_mailboxes(
    header: HeaderBlock, names: Sequence[str] = ("to", "cc")
) -> frozenset[Mailbox]:
    """Give the addresses these fields name beyond doubt, members of groups included.

    What cannot be read is not among them, so that its recipient counts as Bcc (E20). Raises
    `TooComplex` beyond `MAX_ADDRESSES` in a field or for comments nested too deep.
    """
    found = set()
    for value in _values(header, names):
        for element in elements(value):
            try:
                found.add(_sole_mailbox(strip_blank(element))[0])
            except FromError:
                continue
    return frozenset(found)


def named_mailboxes(header: HeaderBlock, names: Sequence[str] = ("from",)) -> frozenset[Mailbox]:
    """Give every address these fields could be taken to name, wherever in them it stands.

    For rules that must hold for each account named: display names, comments, encoded words and
    obsolete spacing are looked through. Raises `TooComplex` beyond `MAX_ADDRESSES`.
    """
    candidates: set[str] = set()
    for value in _values(header, names):
        for reading in _readings(value):
            candidates.update(_candidates(reading))
            if len(candidates) > _MAX_CANDIDATES:
                raise TooComplex("the address fields name too many addresses")
    read = map(_read, candidates)
    return frozenset(mailbox for mailbox in read if mailbox is not None)


def _values(header: HeaderBlock, names: Sequence[str]) -> Iterator[str]:
    return (field.value for name in names for field in header.find(name))


def _sole_mailbox(found: Sequence[Token]) -> tuple[Mailbox, str]:
    """Read `[phrase] <addr-spec>` or a bare addr-spec; give it with the phrase as written."""
    if not found:
        raise FromError("the field names nobody")
    angles = [place for place, token in enumerate(found) if token == _OPEN]
    if not angles:
        return _addr_spec(found), ""
    if len(angles) > 1 or found[-1] != _CLOSE:
        raise FromError("there is more than one address, or text behind it")
    phrase, address = found[: angles[0]], found[angles[0] + 1 : -1]
    if not all(token.kind in _PHRASE or token.text in (".", "@") for token in phrase):
        raise FromError("the display name holds characters that divide addresses")
    return _addr_spec(address), "".join(token.text for token in phrase)


def _addr_spec(found: Sequence[Token]) -> Mailbox:
    for token in found:
        if token.kind in (Kind.BLANK, Kind.COMMENT, Kind.BAD):
            raise FromError("there is white space, a comment or garbage inside the address")
        if token.kind is Kind.SPECIAL and token.text not in (".", "@"):
            raise FromError("it is not exactly one plain address")
    text = "".join(token.text for token in found)
    if "=?" in text:
        raise FromError("the address holds an encoded word")
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise FromError(str(error)) from error


def _check_shown(text: str, mailbox: Mailbox) -> None:
    """Refuse a name or comment that shows another address than the mailbox (E03)."""
    decoded = _AT_SIGNS.sub("@", decode_text(_QUOTED_PAIR.sub(r"\1", text)))
    if _UNDECODED.search(decoded):
        raise FromError("the display name cannot be decoded")
    if "@" not in decoded:
        return
    for word in _DELIMITERS.split(decoded):
        if "@" in word and _read(word.strip(_EDGES)) != mailbox:
            raise FromError("the display name shows another address")


def _readings(value: str) -> Iterator[str]:
    decoded = _AT_SIGNS.sub("@", decode_text(value))
    yield value
    yield decoded
    yield _closed_up(decoded)
    if not decoded.isprintable():  # readers drop what is not
        yield _closed_up("".join(char for char in decoded if char.isprintable()))
    yield _closed_up(_QUOTED_PAIR.sub(r"\1", decoded).replace('"', ""))
    for text in (value, decoded):
        yield _closed_up("".join(_without_comments(text)))


def _without_comments(text: str) -> Iterator[str]:
    """Give the text outside comments; an unclosed one hides nothing."""
    return (token.text for token in tokens(text) if token.kind is not Kind.COMMENT)


def _closed_up(text: str) -> str:
    """Remove the white space obsolete syntax allows around `@` and dots (RFC 5322 4.4)."""
    for mark in "@.":
        text = mark.join(part.strip() for part in text.split(mark))
    return text


def _candidates(text: str) -> Iterator[str]:
    """Give everything in the text that could be an address."""
    for word in _DELIMITERS.split(text):
        if "@" in word:
            parts = [part.strip(_EDGES) for part in word.split("@")]
            yield from (
                f"{local}@{domain}" for local, domain in pairwise(parts) if local and domain
            )
    yield from (match[0] for match in _QUOTED_LOCAL.finditer(text))


def _read(text: str) -> Mailbox | None:
    if len(text) > _MAX_MAILBOX_CHARACTERS:
        return None
    try:
        return parse_mailbox(text)
    except AddressError:
        return None
