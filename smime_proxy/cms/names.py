"""Distinguished names: compared by value, printed for people.

RFC 5280 7.1 (comparison, simplified), RFC 4514 (printing).
"""

from smime_proxy.cms import ber
from smime_proxy.cms.ber import Element
from smime_proxy.cms.errors import CmsError, MalformedCms

MAX_PRINTED = 400  # characters of a printed name; keeps reports and fields short

_SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
# Latin-1 stands in for T.61, which no issuer used as anything else.
_CHARACTER_SETS = {
    12: "utf-8",
    18: "ascii",
    19: "ascii",
    20: "latin-1",
    22: "ascii",
    26: "ascii",
    28: "utf-32-be",
    30: "utf-16-be",
}

_SPECIAL = frozenset('"+,;<>\\')

Folded = tuple[frozenset[tuple[str, str | bytes]], ...]


def folded(name: bytes) -> Folded:
    """What two names have in common when they are the same name; raises MalformedCms.

    Case and white space are folded and string types count alike (RFC 5280 7.1); values that
    are no strings compare by their encoding.
    """
    return tuple(
        frozenset((oid, _fold(value)) for oid, value in _attributes(rdn))
        for rdn in ber.read_only(name).expect(0x30).children()
    )


def same(one: bytes, other: bytes) -> bool:
    """Whether two encoded names are one name; unreadable ones equal only themselves."""
    if one == other:
        return True
    try:
        return folded(one) == folded(other)
    except CmsError:
        return False


def printable(name: bytes) -> str:
    """RFC 4514 text of a name, cut at MAX_PRINTED; empty when it is unreadable."""
    try:
        rdns = ber.read_only(name).expect(0x30).children()
        texts = ["+".join(_print(*pair) for pair in _attributes(rdn)) for rdn in reversed(rdns)]
    except CmsError:
        return ""
    return ",".join(texts)[:MAX_PRINTED]


def _attributes(rdn: Element) -> list[tuple[str, Element]]:
    pairs = []
    for attribute in rdn.expect(0x31).children():
        match attribute.expect(0x30).children():
            case [oid, value]:
                pairs.append((ber.object_identifier(oid), value))
            case _:
                raise MalformedCms("attribute of a name is not a pair")
    return pairs


def _text(value: Element) -> str | None:
    encoding = _CHARACTER_SETS.get(value.tag)
    if encoding is None:
        return None
    try:
        return str(value.contents, encoding)
    except UnicodeDecodeError:
        return None


def _fold(value: Element) -> str | bytes:
    text = _text(value)
    return bytes(value.encoding) if text is None else " ".join(text.casefold().split())


def _print(oid: str, value: Element) -> str:
    text = _text(value)
    shown = "#" + value.encoding.hex() if text is None else _escape(text)
    return f"{_SHORT_NAMES.get(oid, oid)}={shown}"


def _escape(text: str) -> str:
    """RFC 4514 2.4; what does not print is escaped too, so that no name writes lines."""
    if text.isprintable() and _SPECIAL.isdisjoint(text):
        escaped = text
    else:
        escaped = "".join(_escape_character(character) for character in text)
    if escaped[:1] in {" ", "#"}:
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(escaped) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def _escape_character(character: str) -> str:
    if character in _SPECIAL:
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\{octet:02X}" for octet in character.encode("utf-8", "replace"))
