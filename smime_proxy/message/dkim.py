"""DKIM signatures that a change of the message breaks: found by their tags and left out.

RFC 6376 3.5 (the field), 3.2 (tag lists), 3.4 (what a signature covers). Nothing is verified here:
a broken signature of our own domain only tells the receiver that something is wrong.
"""

import re
from collections.abc import Callable, Mapping

from smime_proxy.message.header import Field, HeaderBlock

FIELD = "dkim-signature"
_BLANKS = re.compile(r"[ \t\r\n]+")


def without_dkim(header: HeaderBlock, is_ours: Callable[[str], bool]) -> HeaderBlock:
    """Leave out the signatures of our own domains, of a message whose body will be another.

    `is_ours` is asked with the domain in lower case. The block itself when there are none.
    """
    return _without(header, is_ours, lambda _tags: True)


def without_broken_dkim(
    before: HeaderBlock, after: HeaderBlock, is_ours: Callable[[str], bool]
) -> HeaderBlock:
    """Leave out those of our own that cover a field which is not in `after` as it was in `before`.

    For messages whose body stays as it is (RFC 6376 5.4 and 3.4: also a field that is gone was
    covered). `after` itself when there are none.
    """
    if after is before:
        return after
    return _without(after, is_ours, lambda tags: _covers_change(tags, before, after))


def dkim_count(header: HeaderBlock) -> int:
    """Count the DKIM signatures of a header."""
    return len(header.find(FIELD))


def _without(
    header: HeaderBlock,
    is_ours: Callable[[str], bool],
    is_broken: Callable[[Mapping[str, str]], bool],
) -> HeaderBlock:
    if not header.find(FIELD):
        return header

    def is_to_go(field: Field) -> bool:
        if field.name != FIELD:
            return False
        tags = _tags(field.value)
        return is_ours(tags.get("d", "").lower().rstrip(".")) and is_broken(tags)

    return header.remove(is_to_go)


def _covers_change(tags: Mapping[str, str], before: HeaderBlock, after: HeaderBlock) -> bool:
    names = {name.lower() for name in tags.get("h", "").split(":")}
    return any(_raw(before, name) != _raw(after, name) for name in names)


def _raw(header: HeaderBlock, name: str) -> list[bytes]:
    return [field.raw for field in header.find(name)]


def _tags(value: str) -> dict[str, str]:
    """Read a tag list; blanks mean nothing in the tags that are asked for here (RFC 6376 3.2).

    A tag that is there twice makes the whole list invalid: it is nobody's signature.
    """
    pairs = (part.partition("=") for part in _BLANKS.sub("", value).split(";"))
    tags = [(name, text) for name, equals, text in pairs if equals]
    found = dict(tags)
    return found if len(found) == len(tags) else {}
