"""Incoming mail: for whom it is opened, what is refused for teams, what just passes."""

from smime_proxy.policy.facts import MessageFacts
from smime_proxy.policy.plan import Plan, Why
from tests.unit.policy.cases import (
    ALICE,
    BOB,
    TEAM,
    inbound,
    opened_for,
    refusal,
    to,
    treatments,
)

ENCRYPTED = MessageFacts(smime=True, encrypted=True)
SIGNED = MessageFacts(smime=True, signed=True)
FOR_ALICE = to("alice@example.test", who=ALICE, openers=(ALICE,))
FOR_TEAM = to("team@example.test", who=TEAM, openers=(TEAM,))


def test_mail_without_smime_is_relayed() -> None:
    """V1."""
    assert treatments(inbound(FOR_ALICE, message=MessageFacts())) == {"alice@example.test": "Relay"}


def test_signed_mail_is_verified_for_everybody_teams_included() -> None:
    """V26: opaque-signed is not encrypted."""
    decision = inbound(FOR_ALICE, FOR_TEAM, message=SIGNED)
    assert set(treatments(decision).values()) == {"Verify"}


def test_text_is_opened_only_with_a_key_of_the_recipients_own_account() -> None:
    """I6."""
    decision = inbound(
        FOR_ALICE,
        to("a.alias@example.test", who=ALICE, openers=(ALICE,)),
        to("bob@example.test", who=BOB),
        to("zoe@example.test"),
        message=ENCRYPTED,
    )
    assert opened_for(decision) == {
        "alice@example.test": "alice@example.test",
        "a.alias@example.test": "alice@example.test",
    }
    assert treatments(decision)["bob@example.test"] == "Verify"
    assert treatments(decision)["zoe@example.test"] == "Verify"


def test_a_reader_gets_what_opens_with_the_keys_of_those_he_reads_for() -> None:
    """I6: with his own account, with none, and never for a team or with the key of one."""
    decision = inbound(
        FOR_ALICE,
        to("bob@example.test", who=BOB, openers=(BOB, ALICE)),
        to("deputy@example.test", openers=(ALICE,)),
        to("other@example.test", openers=(ALICE, TEAM)),
        to("zoe@example.test", openers=(TEAM,)),
        to("stranger@example.test"),
        message=ENCRYPTED,
    )
    assert opened_for(decision) == {
        "alice@example.test": "alice@example.test",
        "bob@example.test": "bob@example.test alice@example.test",
        "deputy@example.test": "alice@example.test",
        "other@example.test": "alice@example.test",
    }
    assert isinstance(decision, Plan)
    assert [(len(one.recipients), one.rule) for one in decision.deliveries] == [
        (1, "encrypted to the account"),
        (1, "encrypted to the account"),
        (2, "encrypted to an account he reads for"),
        (2, "no key of the recipient"),
    ]


def test_a_team_that_is_named_as_reader_gets_the_ciphertext() -> None:
    automatic = MessageFacts(smime=True, encrypted=True, answerable=False)
    team = to("team@example.test", who=TEAM, openers=(ALICE,))
    decision = inbound(FOR_ALICE, team, message=automatic)
    assert treatments(decision)["team@example.test"] == "Verify"


def test_encrypted_mail_to_teams_only_is_refused_in_the_dialogue() -> None:
    """V25, E67."""
    for message in (ENCRYPTED, MessageFacts(smime=True, encrypted=True, answerable=False)):
        assert refusal(inbound(FOR_TEAM, message=message)).why is Why.TEAM_GETS_NO_ENCRYPTED


def test_persons_beside_a_team_get_theirs_and_the_sender_one_report() -> None:
    decision = inbound(FOR_ALICE, FOR_TEAM, message=ENCRYPTED)
    assert treatments(decision) == {"alice@example.test": "Decrypt", "team@example.test": "refused"}


def test_where_no_report_may_be_sent_the_team_gets_the_mail_as_it_came() -> None:
    """E68: null, automatic and list senders, rate, no upstream for reports."""
    automatic = MessageFacts(smime=True, encrypted=True, answerable=False)
    for message, may_report in ((automatic, True), (ENCRYPTED, False)):
        decision = inbound(FOR_ALICE, FOR_TEAM, message=message, may_report=may_report)
        assert treatments(decision) == {
            "alice@example.test": "Decrypt",
            "team@example.test": "Verify",
        }
        assert isinstance(decision, Plan)
        assert len(decision.exemptions) == 1
