"""The header block as octets: find, prepend and remove fields, never write one anew.

RFC 5322 2.2 and 4.5 (fields and their obsolete forms), RFC 6532 3.2 (UTF-8 in values).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from smime_proxy.message.encoded_word import decode_text
from smime_proxy.message.errors import FieldError, TooComplex

__all__ = [
    "MAX_FIELD_OCTETS",
    "MAX_HEADER_OCTETS",
    "Field",
    "HeaderBlock",
    "decode_text",
    "valid_name",
]

MAX_HEADER_OCTETS = 262_144  # of one header block; far above Postfix's header_size_limit
MAX_FIELD_OCTETS = 102_400  # of one field; Postfix header_size_limit

# A field is a line with the lines after it that begin with white space (RFC 5322 2.2.3).
# Its name may have white space behind it (RFC 5322 4.5.3); what has no name is no field.
_FIELD = re.compile(
    rb"((?:([!-9;-~]++)[ \t]*+:)?[^\n]*+\n?+(?:(?<=\n)[ \t][^\n]*+\n?+)*)", re.DOTALL
)
_NAME = re.compile(rb"[!-9;-~]+")
_NO_NAME = re.compile(rb"[^!-9;-~]+")
_FOLDED_VALUE = re.compile(rb"[^\r\n\0]*(?:\r\n[ \t]+[^\s\0][^\r\n\0]*)*")
_LINE_END = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True)
class Field:
    """One field with its continuation lines, as it stands in the message, line end included."""

    raw: bytes

    @property
    def name(self) -> str:
        """Give the field name in lower case; empty for a line that is no field (RFC 5322 2.2)."""
        return _name(self.raw)

    @property
    def unfolded_name(self) -> str:
        """Give the name found by readers that unfold first, or drop what does not belong there.

        RFC 5322 4.5.8 has white space before the colon, no line end; `name` is empty there, as
        where the name holds NUL, which servers strip, or octets that programs cannot show.
        """
        if self.name:
            return self.name
        before, colon, _ = self.raw.partition(b":")
        return _name(_NO_NAME.sub(b"", before) + colon)

    @property
    def value(self) -> str:
        """Give the unfolded value without outer blanks (RFC 5322 2.2.3).

        Read as UTF-8; octets that are not come as lone surrogates (`surrogateescape`), so that
        encoding the same way gives the octets back. Encoded words are not decoded.
        """
        body = self.raw[self.raw.find(b":") + 1 :]
        if b"\n" in body:
            body = _LINE_END.sub(b"", body)
        return body.decode("utf-8", "surrogateescape").strip(" \t\r\n")


class HeaderBlock:
    """The fields of an entity over their octets, without the blank line that ends them.

    Immutable: `remove` and `prepend` give new blocks in which all other octets are the same.
    """

    __slots__ = ("_fields", "_index", "_lines", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._lines: tuple[tuple[bytes, bytes], ...] | None = None
        self._fields: tuple[Field, ...] | None = None
        self._index: dict[str, tuple[Field, ...]] | None = None  # asked some twenty times a message

    def __bytes__(self) -> bytes:
        return self._raw

    def __len__(self) -> int:
        return len(self._raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderBlock) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"HeaderBlock({len(self.fields)} fields, {len(self._raw)} octets)"

    @property
    def fields(self) -> tuple[Field, ...]:
        """Give all fields in order; lines that are no field come as fields with an empty name."""
        if self._fields is None:
            self._fields = tuple(Field(raw) for raw, _ in self._split())
        return self._fields

    def find(self, name: str) -> tuple[Field, ...]:
        """Give every field of that name, any case, in order."""
        if self._index is None:
            self._index = self._by_name()
        return self._index.get(name.lower(), ())

    def starting(self, prefix: str) -> tuple[Field, ...]:
        """Give every field whose name begins so, any case, in order."""
        wanted = prefix.lower().encode("ascii", "replace")
        return tuple([Field(raw) for raw, name in self._split() if name.startswith(wanted)])

    def starting_unfolded(self, prefix: str) -> tuple[Field, ...]:
        """Give every field whose `unfolded_name` begins so, any case: those of `starting` first."""
        wanted = prefix.lower()
        loose = [line for line in self.find("") if line.unfolded_name.startswith(wanted)]
        return (*self.starting(prefix), *loose)

    def first(self, name: str) -> str | None:
        """Give the value of the first field of that name, or None."""
        found = self.find(name)
        return found[0].value if found else None

    def remove(self, what: Callable[[Field], bool] | Collection[str]) -> "HeaderBlock":
        """Give the block without the fields named (any case) or chosen by the predicate."""
        if callable(what):
            kept = [line for line in self._split() if not what(Field(line[0]))]
        else:
            names = frozenset(name.lower().encode("ascii", "replace") for name in what)
            kept = [line for line in self._split() if line[1] not in names]
        return self._of(kept) if len(kept) < len(self._split()) else self

    def prepend(self, name: str, value: str | bytes) -> "HeaderBlock":
        """Give the block with one more field on top, ended by CRLF (RFC 5321 4.4 for traces).

        The value may be folded already. Raises `FieldError` when the name is none, or when the
        value holds NUL or line ends other than CRLF before white space and text (injection).
        """
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        return HeaderBlock(field_line(name, raw) + self._raw)

    def _split(self) -> tuple[tuple[bytes, bytes], ...]:
        """Give octets and lower-case name of every field, split once, when first needed."""
        if self._lines is None:
            found = _FIELD.findall(self._raw)
            self._lines = tuple([(raw, name.lower()) for raw, name in found if raw])
        return self._lines

    def _by_name(self) -> dict[str, tuple[Field, ...]]:
        index: dict[str, list[Field]] = {}
        for raw, name in self._split():
            index.setdefault(name.decode("ascii"), []).append(Field(raw))
        return {name: tuple(found) for name, found in index.items()}

    @classmethod
    def _of(cls, lines: list[tuple[bytes, bytes]]) -> "HeaderBlock":
        """Join lines of a block; what was split stays so, for no line loses its continuation."""
        block = cls(b"".join([raw for raw, _ in lines]))
        block._lines = tuple(lines)
        return block


def field_line(name: str, value: bytes) -> bytes:
    """Write one field, ended by CRLF (RFC 5322 2.2).

    Raises `FieldError` as `HeaderBlock.prepend` does.
    """
    if not valid_name(name):
        raise FieldError("the field name is not valid")
    if not _FOLDED_VALUE.fullmatch(value):
        raise FieldError("the field value holds NUL or a line end that is no folding")
    return name.encode("ascii") + b": " + value + b"\r\n"


def has_loose_lines(header: HeaderBlock) -> bool:
    """Tell whether a line is no field, the `From ` line of a mailbox file at the top aside.

    Some readers end the header there and others read on (RFC 5322 2.2).
    """
    lines = header.find("")
    return len(lines) > 1 or any(not line.raw.startswith(b"From ") for line in lines)


def valid_name(name: str) -> bool:
    """Tell whether the text is a field name (RFC 5322 3.6.8)."""
    return name.isascii() and _NAME.fullmatch(name.encode("ascii")) is not None


def check_limits(header: HeaderBlock) -> None:
    """Raise `TooComplex` for a header block or field too large to read safely."""
    if len(header) > MAX_HEADER_OCTETS:
        raise TooComplex("the header block is too large")
    if len(header) > MAX_FIELD_OCTETS and any(
        len(field.raw) > MAX_FIELD_OCTETS for field in header.fields
    ):
        raise TooComplex("a header field is too large")


def _name(raw: bytes) -> str:
    name, colon, _ = raw.partition(b":")
    name = name.rstrip(b" \t")  # RFC 5322 4.5.3 allows white space there
    if not colon or not _NAME.fullmatch(name):
        return ""
    return name.decode("ascii").lower()
