"""Meeting invitations and the answers to them, which must leave untouched: find their method.

RFC 6047 2.4 (iMIP body parts), RFC 5546 1.4 (methods), RFC 5545 3.1 and 3.7.2 (folding, METHOD).
"""

import re
from collections.abc import Iterator

from smime_proxy.message.entity import Entity, decode_octets

CONTENT_CLASS = "CONTENT-CLASS"  # what `meeting_method` says when only Exchange's field tells
MEETING_METHODS = frozenset(
    {"REQUEST", "REPLY", "COUNTER", "DECLINECOUNTER", "CANCEL", "ADD", "REFRESH"}
)

_EXCHANGE_CLASS = "urn:content-classes:calendarmessage"
_FOLD = re.compile(rb"\r?\n[ \t]")
_METHOD = re.compile(
    rb"^METHOD(?:;[^:\r\n]*+)?:[ \t]*+([A-Za-z-]++)[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE
)


def meeting_method(entity: Entity) -> str | None:
    """Give the method when the message is an invitation or an answer to one, else None (E24).

    A text/calendar leaf with a `method` parameter counts anywhere but below message/rfc822; one
    with METHOD only in its body where it is the message's own content: the root, the first child
    of a multipart/mixed, or inside a multipart/alternative there. PUBLISH never counts (E26).
    `Content-Class: urn:content-classes:calendarmessage` gives `CONTENT_CLASS`.
    """
    for leaf in _calendar_leaves(entity):
        method = leaf.content_type.parameters.get("method", "").strip().upper()
        if method in MEETING_METHODS:
            return method
    for leaf in _own_calendar_leaves(entity):
        if "method" not in leaf.content_type.parameters:
            method = _body_method(leaf)
            if method in MEETING_METHODS:
                return method
    value = entity.header.first("content-class")
    return CONTENT_CLASS if value and value.lower() == _EXCHANGE_CLASS else None


def _calendar_leaves(entity: Entity) -> Iterator[Entity]:
    """Give the text/calendar leaves, without looking below an embedded message."""
    waiting = [entity]
    while waiting:
        current = waiting.pop()
        if current.content_type.type == "message":
            continue
        if current.is_leaf and current.content_type.full == "text/calendar":
            yield current
        waiting.extend(reversed(current.children))


def _own_calendar_leaves(entity: Entity) -> Iterator[Entity]:
    """Give those in what a mail program shows as the message, past a multipart/mixed around it."""
    while entity.content_type.full == "multipart/mixed" and entity.children:
        entity = entity.children[0]
    if entity.content_type.full == "multipart/alternative" or entity.is_leaf:
        yield from _calendar_leaves(entity)


def _body_method(leaf: Entity) -> str:
    decoded = decode_octets(leaf.body, leaf.transfer_encoding)
    match = _METHOD.search(_FOLD.sub(b"", decoded))
    return match[1].decode("ascii").upper() if match else ""
