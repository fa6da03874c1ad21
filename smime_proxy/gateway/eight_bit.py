"""Content with octets above 127 for an upstream that takes none: made 7bit or refused, never bent.

RFC 6152 3 (a server without 8BITMIME must not be sent such content), RFC 3463 3.7 (X.6.3).
"""

from collections.abc import Sequence

import structlog

from smime_proxy.gateway.replies import reply_for
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.reply import Reply

_log = structlog.get_logger("smime_proxy.gateway")


def seven_bit(content: Sequence[bytes], *, opened: bool) -> Sequence[bytes] | Reply:
    """Give content that goes without 8BITMIME, or its refusal, 554 5.6.3.

    What we sign or encrypt is 7bit already, so what is not is others', may be signed, and is
    refused. With `opened` it was decrypted here: its leaves are encoded, signed parts and header
    fields stay, and it is sent even if it is not 7bit then, because a reply that depends on what
    was encrypted would tell strangers about it (E12).
    """
    if all(piece.isascii() for piece in content):
        return content
    if not opened:
        return reply_for("needs_8bit")
    *before, message = content
    made = _encoded(message)
    if not made.isascii():
        _log.warning("8-bit content sent without 8BITMIME")
    return (*before, made)


def _encoded(message: bytes) -> bytes:
    try:
        entity = parse(message)
        return bytes(outer_header(entity.header)) + canonical_entity(entity)
    except MessageError:
        return message
