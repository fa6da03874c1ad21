"""A message or body part as a view: offsets into one buffer, nothing copied, nothing rewritten.

RFC 2045 2.4 (entity), RFC 2046 5 (composite types), RFC 2183 (disposition).
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from smime_proxy.message.content_type import ContentType, read_parameters
from smime_proxy.message.encoded_word import decode_base64, decode_text
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.transfer_encoding import decode_base64_start

IDENTITY_ENCODINGS = frozenset({"7bit", "8bit", "binary"})  # RFC 2045 6.2
START_OCTETS = 512  # of a body that tell what it is; the content type of CMS takes 100

_ENCODING = re.compile(r"[^\s;(]+")
# The look-behind lets only the start of a run of blanks match, which keeps this linear.
_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")


class Defect(Enum):
    """What is wrong with the MIME structure of one entity; parsing goes on behind it."""

    NO_BLANK_LINE = "the header does not end with an empty line"
    NOT_A_FIELD = "a line in the header is no field"
    BAD_CONTENT_TYPE = "the Content-Type cannot be read"
    SEVERAL_CONTENT_TYPES = "there is more than one Content-Type"
    NO_BOUNDARY = "a multipart without a boundary parameter"
    NO_DELIMITER = "the boundary never occurs"
    UNTERMINATED = "the last part is not closed"


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """The octets `content[start:end]` seen as header, body and children; made by `parse`.

    The header is `content[start:header_end]`, the body `content[body_start:end]`; between them
    lies the empty line. A multipart has its parts as children, a message/rfc822 its message.
    """

    content: bytes = field(repr=False)
    start: int
    header_end: int
    body_start: int
    end: int
    header: HeaderBlock
    content_type: ContentType
    children: tuple["Entity", ...] = field(default=(), repr=False)
    defects: tuple[Defect, ...] = ()

    def __bytes__(self) -> bytes:
        return self.content[self.start : self.end]

    @property
    def body(self) -> bytes:
        """Give the octets of the body, still transfer-encoded."""
        return self.content[self.body_start : self.end]

    @property
    def is_leaf(self) -> bool:
        """Tell whether the entity has no children."""
        return not self.children

    @property
    def is_multipart(self) -> bool:
        """Tell whether the type says multipart, whatever the body is."""
        return self.content_type.type == "multipart"

    @property
    def transfer_encoding(self) -> str:
        """Give the transfer encoding in lower case; `7bit` when there is none (RFC 2045 6.1)."""
        return transfer_encoding(self.header)

    @property
    def disposition(self) -> str:
        """Give the disposition type in lower case, or an empty text (RFC 2183 2)."""
        value = self.header.first("content-disposition")
        return read_parameters(value)[0].lower() if value else ""

    @property
    def filename(self) -> str:
        """Give the file name from Content-Disposition, else the name of Content-Type, else ''."""
        value = self.header.first("content-disposition")
        name = read_parameters(value)[1].get("filename", "") if value else ""
        return decode_text(name or self.content_type.parameters.get("name", ""))

    def walk(self) -> Iterator["Entity"]:
        """Give the entity and all below it, parents before children, in order of the octets."""
        waiting = [self]
        while waiting:
            entity = waiting.pop()
            yield entity
            waiting.extend(reversed(entity.children))


def transfer_encoding(header: HeaderBlock) -> str:
    """Give the transfer encoding a header names, in lower case, else `7bit` (RFC 2045 6.1)."""
    value = header.first("content-transfer-encoding")
    match = _ENCODING.search(value) if value else None
    return match[0].lower() if match else "7bit"


def decode_body(entity: Entity, limit: int) -> bytes:
    """Undo the transfer encoding of the body; an unknown one leaves it as it is.

    Tolerant: foreign characters, missing padding and stray `=` are read as mail programs do.
    Raises `TooComplex` when the decoded body is longer than `limit` octets (RFC 2045 6).
    """
    decoded = decode_octets(entity.body, entity.transfer_encoding)
    if len(decoded) > limit:
        raise TooComplex("a decoded body part is too large")
    return decoded


def decode_octets(body: bytes, encoding: str) -> bytes:
    """Undo one transfer encoding, named in lower case (RFC 2045 6.7 and 6.8)."""
    if encoding == "base64":
        return decode_base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(_TRAILING_BLANKS.sub(b"", body))
    return body


def decode_start(entity: Entity) -> bytes:
    """Give what the decoded body begins with: `START_OCTETS` of it, more, or all of a shorter one.

    Large mail is not decoded for a look at what it is, but where its base64 is no clear one.
    """
    end = min(entity.end, entity.body_start + 2 * START_OCTETS)
    head, encoding = entity.content[entity.body_start : end], entity.transfer_encoding
    if encoding in IDENTITY_ENCODINGS:
        return head
    if encoding == "base64" and end < entity.end:
        start = decode_base64_start(head)
        if len(start) >= START_OCTETS:
            return start
    return decode_octets(entity.body, encoding)
