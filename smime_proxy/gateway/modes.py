"""How much of what is decided is carried out: all of it, nothing that is final, or nothing at all.

RFC 5321 4.2.1 (classes of replies); Postfix's soft_bounce is the model of `soft`. docs/adr/0023.
"""

from dataclasses import replace
from enum import Enum

from smime_proxy.envelope import Role
from smime_proxy.reply import Reply


class Mode(Enum):
    """What a listener does with decisions."""

    ENFORCE = "enforce"
    SOFT = "soft"
    OBSERVE = "observe"

    def given(self, reply: Reply) -> Reply:
        """Give what the client is told in place of a reply: in soft mode nothing that is final."""
        return softened(reply) if self is Mode.SOFT else reply

    def quotes_nothing(self, role: Role) -> bool:
        """Tell whether reports on mail of a role may have its header only (RFC 3461 4.3).

        What was decrypted inbound must not come back in clear; where nothing is, the client's wish
        counts.
        """
        return role is Role.INBOUND and self is not Mode.OBSERVE


# A program that speaks wrongly does so again, and who guesses passwords must not go on for ever: no
# mail hangs on them. RFC 5321 4.2.3 (syntax and sequence), RFC 4954 6 (AUTH).
_NOT_ABOUT_MAIL = frozenset({500, 501, 502, 503, 504, 555, 535, 538})
# What is not ours to soften: the upstream refused them for good, and the others have their mail.
_OF_THE_UPSTREAM = frozenset({"partly_refused"})


def softened(reply: Reply) -> Reply:
    """Give a final refusal of our own as one for now: class digits change, the rest stays."""
    if not reply.is_permanent or reply.is_foreign or reply.code in _NOT_ABOUT_MAIL:
        return reply
    if reply.told is not None and reply.told.situation in _OF_THE_UPSTREAM:
        return reply
    return replace(reply, code=reply.code - 100)
