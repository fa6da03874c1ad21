"""Who tries to have somebody else's key used for his mail.

Postfix XFORWARD_README (SOURCE); E01, invariant I7.
"""

from dataclasses import replace

import pytest

from smime_proxy.envelope import REMOTE, Origin
from smime_proxy.policy.plan import Plan, Why
from smime_proxy.policy.rules import Encrypt
from tests.unit.policy.cases import ALICE, account, outbound, refusal, sender, to, treatments


@pytest.mark.parametrize("login", [None, "alice@example.test"])
def test_mail_that_came_to_a_peer_from_elsewhere_uses_no_key(login: str | None) -> None:
    """A stranger's mail forwarded by an alias comes from the same address as our own."""
    who = sender(replace(ALICE, logins=frozenset({"alice@example.test"})))
    for source, to_all in (("LOCAL", "Sign"), ("", "Sign"), (REMOTE, "Relay")):
        said = Origin(source=source)
        decision = outbound(to("x@y.org"), who=who, login=login, forwarded=said)
        assert treatments(decision) == {"x@y.org": to_all}
    assert isinstance(decision, Plan)
    assert decision.exemptions == ("unsigned: XFORWARD says that it came from elsewhere",)
    strict = sender(account("alice@example.test", encrypt=Encrypt.REQUIRED))
    refused = refusal(outbound(to("x@y.org"), who=strict, forwarded=said))
    assert refused.why is Why.CERTIFICATE_MISSING
