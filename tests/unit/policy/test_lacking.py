"""Who is looked for outside, and who is not."""

import pytest

from smime_proxy.certs.source import MinimumSource
from smime_proxy.envelope import Role
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts, SenderFacts
from smime_proxy.policy.lacking import Lack, lacking
from smime_proxy.policy.rules import Encrypt, Internal, PartnerRule, Policy, Rules
from tests.fakes import envelope
from tests.unit.policy.cases import BOB, TEAM, sender, to

STRANGER = to("x@y.org")
KNOWN = to("known@y.org", known=True)


def lacks(
    *recipients: RecipientFacts,
    policy: Policy | None = None,
    message: MessageFacts | None = None,
    who: SenderFacts | None = None,
    rules: Rules | None = None,
    role: Role = Role.OUTBOUND,
) -> list[str]:
    facts = Facts(message or MessageFacts(), recipients, who or sender())
    addresses = [str(item.mailbox) for item in recipients]
    mail = envelope(b"", "alice@example.test", *addresses, role=role)
    found = lacking(mail, facts, rules or Rules(policy or Policy()))
    return [str(one.mailbox) for one in found]


@pytest.mark.parametrize("encrypt", [Encrypt.REQUIRED, Encrypt.WHEN_POSSIBLE])
def test_strangers_are_looked_for_where_encryption_is_wanted(encrypt: Encrypt) -> None:
    assert lacks(STRANGER, KNOWN, policy=Policy(encrypt=encrypt)) == ["x@y.org"]


@pytest.mark.parametrize("encrypt", [Encrypt.NEVER, Encrypt.ON_REQUEST])
def test_where_it_is_not_wanted_they_are_looked_for_on_request(encrypt: Encrypt) -> None:
    policy = Policy(encrypt=encrypt)
    assert lacks(STRANGER, policy=policy) == []
    assert lacks(STRANGER, policy=policy, message=MessageFacts(asks_encrypt=True)) == ["x@y.org"]
    demanded = Rules(policy, partners={"y.org": PartnerRule(encrypt=Encrypt.REQUIRED)})
    assert lacks(STRANGER, rules=demanded) == ["x@y.org"]


def test_our_own_people_are_not_looked_for() -> None:
    own = to("bob@example.test", who=BOB)
    outside = Policy(encrypt=Encrypt.REQUIRED, internal=Internal.ENCRYPT)
    assert lacks(own) == []
    assert lacks(own, policy=outside) == []


@pytest.mark.parametrize(
    "message",
    [
        MessageFacts(meeting="REQUEST"),
        MessageFacts(encrypted=True),
        MessageFacts(pgp_encrypted=True),
        MessageFacts(asks_plain=True),
    ],
)
def test_nobody_is_looked_for_when_the_mail_itself_settles_it(message: MessageFacts) -> None:
    assert lacks(STRANGER, message=message) == []


def test_nobody_is_looked_for_on_behalf_of_strangers_and_teams() -> None:
    assert lacks(STRANGER, who=sender(None)) == []
    assert lacks(STRANGER, who=sender(TEAM)) == []
    assert lacks(STRANGER, role=Role.INBOUND) == []


def test_somebody_is_looked_for_to_answer_him_encrypted() -> None:
    answer = MessageFacts(conversation="answers mail that came encrypted", asks_plain=True)
    assert lacks(STRANGER, message=answer) == ["x@y.org"]
    assert lacks(STRANGER, who=sender(None), message=answer) == ["x@y.org"]


def test_what_will_do_is_said_with_it() -> None:
    rules = Rules(
        Policy(minimum_source=MinimumSource.DISCOVERED),
        partners={"y.org": PartnerRule(minimum_source=MinimumSource.VERIFIED)},
    )
    facts = Facts(MessageFacts(), (STRANGER, to("z@z.org")), sender())
    mail = envelope(b"", "alice@example.test", "x@y.org", "z@z.org")
    assert lacking(mail, facts, rules) == (
        Lack(STRANGER.mailbox, MinimumSource.VERIFIED),
        Lack(to("z@z.org").mailbox, MinimumSource.DISCOVERED),
    )
