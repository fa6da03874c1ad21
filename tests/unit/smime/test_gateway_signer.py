"""A gateway is not trusted unless it is said."""

from smime_proxy.address import parse_mailbox
from smime_proxy.smime.gateway_signer import GatewaySigner


def test_a_gateway_is_not_as_good_as_the_person_unless_that_is_said() -> None:
    assert not GatewaySigner(parse_mailbox("gateway@firm.example")).trusted
