"""Meeting invitations and the answers to them, which must leave untouched: find their method.

RFC 6047 2.4 (iMIP body parts), RFC 5546 1.4 (methods), RFC 5545 3.1 and 3.7.2 (folding, METHOD),
MS-OXCMAIL (TNEF in mail), MS-OXOCAL and MS-OXTNEF (message classes of meetings).
"""

import re
from collections.abc import Iterator
from itertools import islice

from smime_proxy.message.entity import Entity, decode_octets
from smime_proxy.message.tnef import message_class

CONTENT_CLASS = "CONTENT-CLASS"  # what `meeting_method` says when only Exchange's field tells
MEETING_METHODS = frozenset(
    {"REQUEST", "REPLY", "COUNTER", "DECLINECOUNTER", "CANCEL", "ADD", "REFRESH"}
)
MAX_TNEF_OCTETS = 4 * 1024 * 1024  # looked at, still encoded; the class is ahead of attachments
MAX_TNEF_PARTS = 4  # looked into; a message has one

_EXCHANGE_CLASS = "urn:content-classes:calendarmessage"
_FOLD = re.compile(rb"\r?\n[ \t]")
_METHOD = re.compile(
    rb"^METHOD(?:;[^:\r\n]*+)?:[ \t]*+([A-Za-z-]++)[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE
)

_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_TNEF_NAME = "winmail.dat"
_CLASS_METHODS = {  # in lower case; the old names are those of Microsoft Schedule+
    "ipm.schedule.meeting.request": "REQUEST",
    "ipm.schedule.meeting.resp.pos": "REPLY",
    "ipm.schedule.meeting.resp.neg": "REPLY",
    "ipm.schedule.meeting.resp.tent": "REPLY",
    "ipm.schedule.meeting.canceled": "CANCEL",
    "ipm.microsoft schedule.mtgreq": "REQUEST",
    "ipm.microsoft schedule.mtgrespp": "REPLY",
    "ipm.microsoft schedule.mtgrespn": "REPLY",
    "ipm.microsoft schedule.mtgrespa": "REPLY",
    "ipm.microsoft schedule.mtgcncl": "CANCEL",
}


def meeting_method(entity: Entity) -> str | None:
    """Give the method when the message is an invitation or an answer to one, else None (E24).

    A text/calendar leaf with a `method` parameter counts anywhere but below message/rfc822; one
    with METHOD only in its body where it is the message's own content: the root, the first child
    of a multipart/mixed, or inside a multipart/alternative there. PUBLISH never counts (E26).
    TNEF with the class of a meeting counts as the root or below nothing but multipart/mixed (E25).
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
    for leaf in islice(_tnef_leaves(entity), MAX_TNEF_PARTS):
        method = _class_method(leaf)
        if method:
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


def _tnef_leaves(entity: Entity) -> Iterator[Entity]:
    """Give the TNEF where Outlook and Exchange put it: alone, or beside a text in a mixed body.

    Mailing lists and gateways that add a footer wrap that in one more multipart/mixed.
    """
    waiting = [entity]
    while waiting:
        current = waiting.pop()
        if current.content_type.full == "multipart/mixed":
            waiting.extend(reversed(current.children))
        elif current.is_leaf and _is_tnef(current):
            yield current


def _is_tnef(leaf: Entity) -> bool:
    return leaf.content_type.full in _TNEF_TYPES or leaf.filename.strip().lower() == _TNEF_NAME


def _class_method(leaf: Entity) -> str:
    """Give the method of a meeting class or of one derived from it, else an empty text."""
    end = min(leaf.end, leaf.body_start + MAX_TNEF_OCTETS)
    body = leaf.content[leaf.body_start : end]
    found = (message_class(decode_octets(body, leaf.transfer_encoding)) or "").lower()
    for name, method in _CLASS_METHODS.items():
        if found == name or found.startswith(name + "."):
            return method
    return ""
