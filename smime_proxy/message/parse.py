"""Octets in, a tree of views out, in one pass from the top; `bytes(parse(x)) == x` for every x.

RFC 5322 2.1 (header and body), RFC 2046 5.1.1 (delimiters), RFC 2046 5.2.1 (message/rfc822).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from smime_proxy.message.content_type import (
    MESSAGE_RFC822,
    TEXT_PLAIN,
    ContentType,
    read_content_type,
)
from smime_proxy.message.entity import IDENTITY_ENCODINGS, Defect, Entity, transfer_encoding
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.header import MAX_HEADER_OCTETS, HeaderBlock, check_limits

MAX_MIME_DEPTH = 50  # deeper than any mail seen; bounds every walk
MAX_PARTS = 1_000  # entities in one message, itself included; digests have dozens
_MAX_NEAR_DELIMITERS = 1_000  # lines that only begin like a delimiter, before the slower search

_BLANK_LINE = re.compile(rb"\n\r?\n")
_LEADING_FIELDS = re.compile(
    rb"(?:From [^\n]*+\n)?(?:[!-9;-~]++[ \t]*+:[^\n]*+\n?+(?:(?<=\n)[ \t][^\n]*+\n?+)*)*"
)
_REST_OF_DELIMITER = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\r?\Z)")
_EMBEDDED_MESSAGES = frozenset({"rfc822", "global"})  # RFC 2046 5.2.1, RFC 6532 3.7


@dataclass(slots=True)
class _Draft:
    """An entity whose children are not known yet."""

    start: int
    header_end: int
    body_start: int
    end: int
    depth: int
    header: HeaderBlock
    content_type: ContentType
    defects: tuple[Defect, ...]
    first_child: int = 0
    child_count: int = 0


def parse(content: bytes) -> Entity:
    """Find the entities in a message or body part, in CRLF or LF line ends.

    Broken MIME is kept and named in `defects`. Linear in the length of the content; raises
    only `TooComplex`, for too many or too deep parts or too large headers.
    """
    drafts = [_draft(content, 0, len(content), TEXT_PLAIN, 0)]
    position = 0
    while position < len(drafts):  # breadth first: children stand together, behind their parent
        draft = drafts[position]
        draft.first_child = len(drafts)
        _add_children(content, draft, drafts)
        draft.child_count = len(drafts) - draft.first_child
        position += 1
    built: list[Entity] = []  # from the last draft to the first
    for draft in reversed(drafts):
        last = len(drafts) - draft.first_child
        children = tuple(reversed(built[last - draft.child_count : last]))
        built.append(_entity(content, draft, children))
    return built[-1]


def header_of(content: bytes) -> HeaderBlock:
    """Give the header block of a message whatever its body, for mail that is read no further.

    Of one beyond `MAX_HEADER_OCTETS` only so much is given that `check_limits` says so.
    """
    return HeaderBlock(content[: _split(content, 0, len(content))[0]])


def _entity(content: bytes, draft: _Draft, children: tuple[Entity, ...]) -> Entity:
    return Entity(
        content,
        draft.start,
        draft.header_end,
        draft.body_start,
        draft.end,
        draft.header,
        draft.content_type,
        children,
        draft.defects,
    )


def _draft(content: bytes, start: int, end: int, default: ContentType, depth: int) -> _Draft:
    if depth > MAX_MIME_DEPTH:
        raise TooComplex("the MIME structure is too deep")
    header_end, body_start, defects = _split(content, start, end)
    header = HeaderBlock(content[start:header_end])
    check_limits(header)
    fields = header.find("content-type")
    content_type = default
    if fields:
        read = read_content_type(fields[0].value)
        content_type = read or TEXT_PLAIN
        if read is None:
            defects += (Defect.BAD_CONTENT_TYPE,)
        if len(fields) > 1:
            defects += (Defect.SEVERAL_CONTENT_TYPES,)
    strange = header.find("")
    if strange and (len(strange) > 1 or not strange[0].raw.startswith(b"From ")):
        defects += (Defect.NOT_A_FIELD,)
    return _Draft(start, header_end, body_start, end, depth, header, content_type, defects)


def _split(content: bytes, start: int, end: int) -> tuple[int, int, tuple[Defect, ...]]:
    """Give the ends of header and separator (RFC 5322 2.1).

    Without an empty line in reach, the body begins at the first line that is no field.
    """
    if content.startswith(b"\r\n", start, end):
        return start, start + 2, ()
    if content.startswith(b"\n", start, end):
        return start, start + 1, ()
    blank = _BLANK_LINE.search(content, start, end)
    if blank and blank.start() - start <= MAX_HEADER_OCTETS:
        return blank.start() + 1, blank.end(), ()
    # A header that goes on beyond its limit is refused whatever its end.
    reach = min(end, start + MAX_HEADER_OCTETS + 2)
    fields = _LEADING_FIELDS.match(content, start, reach)
    header_end = fields.end() if fields else start
    if blank and header_end > blank.start():
        return blank.start() + 1, blank.end(), ()
    # A part without a body lends its empty line to the delimiter behind it.
    return header_end, header_end, (Defect.NO_BLANK_LINE,) if header_end < end else ()


def _add_children(content: bytes, draft: _Draft, drafts: list[_Draft]) -> None:
    kind = draft.content_type
    if kind.type == "multipart":
        default = MESSAGE_RFC822 if kind.subtype == "digest" else TEXT_PLAIN
        spans = _part_spans(content, draft)
    elif (
        kind.type == "message"
        and kind.subtype in _EMBEDDED_MESSAGES
        and transfer_encoding(draft.header) in IDENTITY_ENCODINGS
    ):
        default = TEXT_PLAIN
        spans = iter(((draft.body_start, draft.end),))
    else:
        return
    for start, end in spans:
        if len(drafts) >= MAX_PARTS:
            raise TooComplex("the message has too many parts")
        drafts.append(_draft(content, start, end, default, draft.depth + 1))


def _part_spans(content: bytes, draft: _Draft) -> Iterator[tuple[int, int]]:
    """Give start and end of each part; note in the draft what is wrong (RFC 2046 5.1.1)."""
    boundary = draft.content_type.parameters.get("boundary", "")
    if not boundary:
        draft.defects += (Defect.NO_BOUNDARY,)
        return
    part = -1
    raw = boundary.encode("utf-8", "surrogateescape")
    for line_start, line_end, closing in _delimiters(content, raw, draft.body_start, draft.end):
        if part >= 0:
            yield part, max(part, _before_line_end(content, line_start))
        part = line_end
        if closing:
            return
    if part < 0:
        draft.defects += (Defect.NO_DELIMITER,)
        return
    draft.defects += (Defect.UNTERMINATED,)
    yield part, draft.end


def _before_line_end(content: bytes, position: int) -> int:
    """Leave out the line end before a delimiter: it belongs to the delimiter."""
    return position - 2 if content[position - 2 : position - 1] == b"\r" else position - 1


def _delimiters(
    content: bytes, boundary: bytes, start: int, end: int
) -> Iterator[tuple[int, int, bool]]:
    """Give start, end and closing mark of every delimiter line of the boundary."""
    mark = b"\n--" + boundary
    near = 0
    # The line end before the body is that of the blank line, so a first delimiter is found too.
    position = content.find(mark, max(start - 1, 0), end)
    while position >= 0:
        after = position + len(mark)
        rest = _REST_OF_DELIMITER.match(content, after, end)
        if rest:
            yield position + 1, rest.end(), rest[1] is not None
            after = max(after, rest.end() - 1)
        else:
            near += 1
            if near > _MAX_NEAR_DELIMITERS:
                yield from _delimiters_among_many(content, mark, after, end)
                return
        position = content.find(mark, after, end)


def _delimiters_among_many(
    content: bytes, mark: bytes, start: int, end: int
) -> Iterator[tuple[int, int, bool]]:
    pattern = re.compile(re.escape(mark) + rb"(--)?[ \t]*+(?=\r?\n|\r?\Z)")
    for match in pattern.finditer(content, start, end):
        line_end = content.find(b"\n", match.end(), end)
        yield match.start() + 1, end if line_end < 0 else line_end + 1, match[1] is not None
