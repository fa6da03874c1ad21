"""A search filter of the settings, read once, into which addresses go as octets and not as text.

RFC 4515 (text), RFC 4511 4.5.1.7 (encoding). What stands for an address is put in after the text
was read, so that no address can change the meaning of the filter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from smime_proxy.cms import der

MAX_DEPTH = 16  # nested parentheses; an administrator's filter has three
PLACEHOLDERS = ("address", "local", "domain")

_AND, _OR, _NOT, _EQUAL, _SUBSTRINGS = 0xA0, 0xA1, 0xA2, 0xA3, 0xA4
_PRESENT, _EXTENSIBLE = 0x87, 0xA9
_COMPARISONS = {"": _EQUAL, ">": 0xA5, "<": 0xA6, "~": 0xA8}
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN = 0x81, 0x82, 0x83, 0x84
_DESCRIPTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.;-]*[A-Za-z0-9])?")  # RFC 4512 2.5
_ITEM = re.compile(r"([A-Za-z0-9.;-]*)((?::[A-Za-z0-9.-]+)*)(:?|[<>~])=([^()]*)")
_PART = re.compile(r"\\([0-9A-Fa-f]{2})|\{([a-z]*)\}|([^\\{}\x00]+)")


@dataclass(frozen=True, slots=True)
class _Value:
    """An assertion value: octets, and names of what takes their place later."""

    parts: tuple[bytes | str, ...]

    def octets(self, values: Mapping[str, str]) -> bytes:
        return b"".join(
            values[part].encode() if isinstance(part, str) else part for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class _Set:
    tag: int
    inside: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class _Item:
    """One comparison; `pieces` are the values between asterisks, one where there are none."""

    tag: int
    description: str
    pieces: tuple[_Value, ...] = ()
    rules: tuple[str, ...] = ()


Node: TypeAlias = _Set | _Item


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as read; its text is that of the settings."""

    text: str
    root: Node

    def encode(self, values: Mapping[str, str]) -> bytes:
        """Give the filter for one address, in BER; `values` by the names of PLACEHOLDERS."""
        return _encode(self.root, values)


def read_filter(text: str) -> Filter:
    """Read a filter; raises ValueError that says what is wrong with it."""
    node, end = _read(text, 0, 1)
    if end != len(text):
        raise ValueError(f"has {text[end:]!r} behind the filter")
    return Filter(text, node)


def _read(text: str, at: int, depth: int) -> tuple[Node, int]:
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_DEPTH}")
    if text[at : at + 1] != "(":
        raise ValueError(f"needs a parenthesis before {text[at : at + 20]!r}")
    at += 1
    tag = {"&": _AND, "|": _OR, "!": _NOT}.get(text[at : at + 1])
    if tag is None:
        node, at = _read_item(text, at)
    else:
        inside: list[Node] = []
        at += 1
        while text[at : at + 1] == "(":
            child, at = _read(text, at, depth + 1)
            inside.append(child)
        if not inside or (tag == _NOT and len(inside) > 1):
            raise ValueError("has an operator without its filters")
        node = _Set(tag, tuple(inside))
    if text[at : at + 1] != ")":
        raise ValueError("has a parenthesis that is not closed")
    return node, at + 1


def _read_item(text: str, at: int) -> tuple[Node, int]:
    match = _ITEM.match(text, at)
    if match is None:
        raise ValueError(f"has no comparison at {text[at : at + 20]!r}")
    description, rules, operator, value = match.groups()
    if description and not _DESCRIPTION.fullmatch(description):
        raise ValueError(f"names no attribute: {description!r}")
    if operator == ":":
        named = tuple(rules[1:].split(":")) if rules else ()
        item = _Item(_EXTENSIBLE, description, (_read_value(value),), named)
    elif rules or not description:
        raise ValueError(f"has no comparison at {text[at : at + 20]!r}")
    elif operator == "" and value == "*":
        item = _Item(_PRESENT, description)
    elif operator == "" and "*" in value:
        item = _Item(_SUBSTRINGS, description, tuple(map(_read_value, value.split("*"))))
    else:
        item = _Item(_COMPARISONS[operator], description, (_read_value(value),))
    return item, match.end()


def _read_value(text: str) -> _Value:
    parts: list[bytes | str] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or (match[2] is not None and match[2] not in PLACEHOLDERS):
            known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"may hold {known} and \\2a for an asterisk, not {text[at:]!r}")
        octet, name, plain = match.groups()
        parts.append(name or (bytes.fromhex(octet) if octet else plain.encode()))
        at = match.end()
    return _Value(tuple(parts))


def _encode(node: Node, values: Mapping[str, str]) -> bytes:
    if isinstance(node, _Set):
        return der.element(node.tag, *(_encode(child, values) for child in node.inside))
    name, pieces = node.description.encode(), [piece.octets(values) for piece in node.pieces]
    if node.tag == _PRESENT:
        return der.element(_PRESENT, name)
    if node.tag == _EXTENSIBLE:
        return _extensible(node, name, pieces[0])
    if node.tag != _SUBSTRINGS:
        return der.element(node.tag, _string(name), _string(pieces[0]))
    last = len(pieces) - 1
    tags = [_INITIAL if n == 0 else _FINAL if n == last else _ANY for n in range(last + 1)]
    # What is empty between two asterisks asks for nothing, and may not be sent.
    found = [der.element(tag, piece) for tag, piece in zip(tags, pieces, strict=True) if piece]
    if not found:
        return der.element(_PRESENT, name)
    return der.element(_SUBSTRINGS, _string(name), der.element(der.SEQUENCE, *found))


def _extensible(node: _Item, name: bytes, value: bytes) -> bytes:
    """Encode `attribute:dn:rule:=value` (RFC 4511 4.5.1.7.7)."""
    rules = [rule for rule in node.rules if rule.lower() != "dn"]
    return der.element(
        _EXTENSIBLE,
        *(der.element(_RULE, rule.encode()) for rule in rules[:1]),
        *([der.element(_TYPE, name)] if name else []),
        der.element(_VALUE, value),
        *([der.element(_DN, b"\xff")] if len(rules) < len(node.rules) else []),
    )


def _string(octets: bytes) -> bytes:
    return der.element(der.OCTET_STRING, octets)
