"""The message class in TNEF, the winmail.dat of Outlook and Exchange; nothing else is read of it.

MS-OXTNEF 2.1 (stream, attributes, checksum), 2.1.3.4 (message properties), MS-OXPROPS
(PidTagMessageClass).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from smime_proxy.message.errors import MessageError
from smime_proxy.message.transfer_encoding import Octets

MAX_NUMBERS = 50_000  # read of attributes, and of properties; Outlook writes a few thousand

_SIGNATURE = 0x223E9F78
_MESSAGE_LEVEL, _ATTACHMENT_LEVEL = 1, 2
_ATT_MESSAGE_CLASS = 0x00078008
_ATT_MESSAGE_PROPERTIES = 0x00069003

_MULTIPLE = 0x1000  # bit of a property type: there are several values
_STRING8, _UNICODE = 0x001E, 0x001F
_COUNTED = frozenset({0x000D, _STRING8, _UNICODE, 0x0102})  # object, texts, binary
_WIDTHS = {  # octets of a value of fixed size; what is shorter than four is padded
    0x0001: 0,  # null
    0x0002: 4,  # integer of 16 bits
    0x0003: 4,  # integer of 32 bits
    0x0004: 4,  # float
    0x0005: 8,  # double
    0x0006: 8,  # currency
    0x0007: 8,  # floating time
    0x000A: 4,  # error
    0x000B: 4,  # boolean
    0x0014: 8,  # integer of 64 bits
    0x0040: 8,  # time
    0x0048: 16,  # GUID
}
_MESSAGE_CLASS = 0x001A
_FIRST_NAMED = 0x8000  # properties from here on carry their name with them
_NAMED_BY_TEXT = 1


def message_class(raw: Octets) -> str | None:
    """Give the class the message has, as it is written there; None where none can be read.

    PidTagMessageClass among the message properties comes before attMessageClass, where an older
    name may stand for it. Classes of attached messages do not count. The reading ends at the first
    thing that is malformed, or beyond `MAX_NUMBERS`; what was found before it counts. Of several
    sets of properties the first is read, as there is never a second.

    Checksums are not looked at: tnefparse and MimeKit read on behind a wrong one, and what its
    reader takes for an invitation must not be changed on its way.
    """
    found, properties = None, None
    try:
        for identifier, value in _message_attributes(_Cursor(memoryview(raw))):
            if identifier == _ATT_MESSAGE_CLASS:
                found = _text(value, _STRING8)
            elif identifier == _ATT_MESSAGE_PROPERTIES and properties is None:
                properties = _Cursor(value)
                if named := _class_in(properties):
                    return named
    except _TnefError:
        pass  # it is for the reader of the mail to say what is wrong with it
    return found or None


class _TnefError(MessageError):
    """The stream ends too early, or goes on with what cannot be TNEF."""


@dataclass(slots=True)
class _Cursor:
    """A place in the octets that only moves on."""

    octets: memoryview
    at: int = 0
    left: int = MAX_NUMBERS

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self.octets)

    def take(self, count: int) -> memoryview:
        if count > len(self.octets) - self.at:
            raise _TnefError("TNEF is cut off")
        self.at += count
        return self.octets[self.at - count : self.at]

    def number(self, width: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise _TnefError("TNEF goes on and on")
        return int.from_bytes(self.take(width), "little")

    def padded(self, count: int) -> memoryview:
        """Take octets and what fills them up to a multiple of four."""
        return self.take(count + -count % 4)[:count]


def _message_attributes(cursor: _Cursor) -> Iterator[tuple[int, memoryview]]:
    if cursor.number(4) != _SIGNATURE:
        raise _TnefError("this is not TNEF")
    cursor.take(2)  # the key by which attachments are told apart
    while not cursor.is_at_end:
        level = cursor.number(1)
        if level not in (_MESSAGE_LEVEL, _ATTACHMENT_LEVEL):
            raise _TnefError("an attribute is at no level")
        identifier = cursor.number(4)
        value = cursor.take(cursor.number(4))
        if level == _MESSAGE_LEVEL:
            yield identifier, value
        cursor.take(2)  # the checksum


def _class_in(cursor: _Cursor) -> str:
    """Give the class among MAPI properties, or an empty text; each turn takes four octets."""
    for _ in range(cursor.number(4)):
        kind, identifier = cursor.number(2), cursor.number(2)
        if identifier >= _FIRST_NAMED:
            _pass_name(cursor)
        first = _take_values(cursor, kind)
        if identifier == _MESSAGE_CLASS and kind in (_STRING8, _UNICODE):
            return _text(first, kind)
    return ""


def _pass_name(cursor: _Cursor) -> None:
    cursor.take(16)  # the GUID of the set of names
    kind, number = cursor.number(4), cursor.number(4)
    if kind == _NAMED_BY_TEXT:
        cursor.padded(number)


def _take_values(cursor: _Cursor, kind: int) -> memoryview:
    """Pass the values of a property and give the first counted one; each takes four octets."""
    first = memoryview(b"")
    single = kind & ~_MULTIPLE
    if single in _COUNTED:  # has a number of values before it even where there is only one
        for turn in range(cursor.number(4)):
            value = cursor.padded(cursor.number(4))
            first = first if turn else value
    elif single in _WIDTHS:
        cursor.take(_WIDTHS[single] * (cursor.number(4) if kind & _MULTIPLE else 1))
    else:
        raise _TnefError("a property has no type that is known")
    return first


def _text(value: memoryview, kind: int) -> str:
    """Give a text up to the NUL that ends it; names of classes are ASCII, so any page will do."""
    encoding = "utf-16-le" if kind == _UNICODE else "latin-1"
    return str(value, encoding, "replace").partition("\0")[0]
