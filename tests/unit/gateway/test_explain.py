"""What `explain` says is what the mail path does."""

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.gateway.explain import explain
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy
from tests.fakes import envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, partner, world

BOTH = envelope(mail(ALICE, PARTNER, STRANGER), ALICE, PARTNER, STRANGER)
SIGNER = parties.party().certificate.fingerprint


def test_each_recipient_has_action_rule_group_and_certificates() -> None:
    surroundings = world()
    told = explain(surroundings.context(), BOTH)
    rows = {row.recipient: row for row in told.recipients}
    sealed, clear = rows[PARTNER], rows[STRANGER]
    assert (sealed.action, sealed.rule) == ("sign+encrypt", "encrypt: policy.encrypt")
    assert sealed.certificates == (SIGNER, partner().certificate.fingerprint)
    assert (clear.action, clear.rule) == ("sign", "sign: policy.sign")
    assert (clear.certificates, clear.problem) == ((SIGNER,), "no certificate")
    assert {sealed.group, clear.group} == {1, 2}
    assert told.sources["encrypt"] == "policy.encrypt"
    assert surroundings.outside.opened == 0


def test_a_refusal_names_its_reply_for_everyone_or_for_some() -> None:
    required = explain(world(Policy(encrypt=Encrypt.REQUIRED)).context(), BOTH)
    assert {row.action for row in required.recipients} == {"refuse"}
    assert all(row.reply.startswith("550 5.7.5 stranger") for row in required.recipients)
    those = Policy(
        encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
    )
    some = explain(world(those).context(), BOTH)
    assert [(row.recipient, row.action, row.group) for row in some.recipients] == [
        (PARTNER, "sign+encrypt", 1),
        (STRANGER, "refuse", 0),
    ]


@pytest.mark.parametrize(
    ("content", "rule", "reply"),
    [
        (mail(ALICE, STRANGER, more="X-SMIME-Sign: no\r\n"), "bad request", "550 5.6.0"),
        (mail(ALICE, STRANGER, more="X: " + "y" * 300_000 + "\r\n"), "malformed", "554 5.6.0"),
        (mail(ALICE, STRANGER), "signing key unavailable", "451 4.7.5"),
    ],
)
def test_what_the_mail_path_refuses_is_no_traceback(content: bytes, rule: str, reply: str) -> None:
    surroundings = world()
    surroundings.directory.unavailable.add(parse_mailbox(ALICE))
    (row,) = explain(surroundings.context(), envelope(content, ALICE, STRANGER)).recipients
    assert (row.action, row.rule, row.reply[:9]) == ("refuse", rule, reply)


def test_an_exemption_is_told() -> None:
    body = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    meeting = mail(ALICE, PARTNER, more="Content-Type: text/calendar\r\n", body=body)
    told = explain(world().context(), envelope(meeting, ALICE, PARTNER))
    assert told.exemptions == ("meeting",)
    assert told.recipients[0].action == "relay"
