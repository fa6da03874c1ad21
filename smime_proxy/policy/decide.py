"""The one decision: from envelope, facts and rules to a Plan or a Refusal, by the listener's role.

RFC 5321 3.3; direction is decided by the listener and never by a header field (E01).
"""

from typing import assert_never

from smime_proxy.envelope import Envelope, Role
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.inbound import decide_inbound
from smime_proxy.policy.outbound import decide_outbound
from smime_proxy.policy.plan import Decision
from smime_proxy.policy.rules import Rules


def decide(envelope: Envelope, facts: Facts, rules: Rules) -> Decision:
    """Decide what happens to one mail object; total and pure, never raises.

    Every recipient of the facts is in exactly one delivery or refusal of the Plan.
    """
    role = envelope.session.role
    if role is Role.OUTBOUND:
        return decide_outbound(envelope, facts, rules)
    if role is Role.INBOUND:
        return decide_inbound(facts)
    assert_never(role)
