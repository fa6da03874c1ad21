"""Whether outgoing mail answers or carries mail that was decrypted here (E13).

RFC 5322 3.6.4 (In-Reply-To, References), RFC 5228 4.2 (redirect), RFC 2046 5.2.1 (attached mail).
"""

from dataclasses import replace
from itertools import islice

from smime_proxy.envelope import Envelope, Role
from smime_proxy.gateway.ports import Memory
from smime_proxy.message.entity import Entity
from smime_proxy.message.message_ids import (
    MAX_REFERENCES,
    own_identifiers,
    referenced_identifiers,
)
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.outbound import policy_of
from smime_proxy.policy.rules import AfterDecryption, Rules
from smime_proxy.smime.decrypted_mark import headers_inside

ANSWERS = "answers mail that came encrypted"
CARRIES = "carries mail that came encrypted"


def with_conversation(
    facts: Facts, envelope: Envelope, entity: Entity, rules: Rules, memory: Memory
) -> Facts:
    """Add to the facts what the mail has to do with mail decrypted here, where policy asks.

    Raises as `conversation`.
    """
    outbound = envelope.session.role is Role.OUTBOUND
    policy = policy_of(facts.sender, rules).policy
    if not outbound or policy.after_decryption is not AfterDecryption.ENCRYPT:
        return facts
    found = conversation(entity, memory)
    return replace(facts, message=replace(facts.message, conversation=found)) if found else facts


def conversation(entity: Entity, memory: Memory) -> str:
    """Say, as a refusal does, what mail has to do with mail decrypted here; "" for nothing.

    A mark tells mail that is sent on, as it is or attached, the memory what lost its mark, and
    answers. Costs two reads of the memory, one more for each hundred of attached mails, and a walk
    over the parts. Raises `MemoryUnreadable`, and `TooComplex` as `headers_inside` does.
    """
    header = entity.header
    if memory.keys.is_marked(header):
        return CARRIES
    if memory.knows(referenced_identifiers(header)):
        return ANSWERS
    inside = tuple(headers_inside(entity))
    if any(map(memory.keys.is_marked, inside)):
        return CARRIES
    carried = (one for found in (header, *inside) for one in own_identifiers(found))
    while batch := tuple(islice(carried, MAX_REFERENCES)):
        if memory.knows(batch):
            return CARRIES
    return ""
