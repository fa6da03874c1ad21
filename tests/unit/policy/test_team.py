"""Encrypted mail to team accounts: refused in the dialogue, reported, or let through."""

from dataclasses import replace

from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts
from smime_proxy.policy.plan import Refusal, Why
from smime_proxy.policy.rules import Kind
from smime_proxy.policy.team import refuse_for_teams
from tests.unit.policy.cases import ALICE, TEAM, account, to

PERSON, STRANGER = to("alice@example.test", who=ALICE), to("x@y.org")
ONE = to("team@example.test", who=TEAM)
OTHER = to("sales@example.test", who=account("sales@example.test", Kind.TEAM))


def test_without_a_team_there_is_nothing_to_settle() -> None:
    assert refuse_for_teams(Facts(MessageFacts(), (PERSON, STRANGER))) is None


def test_v25_teams_alone_are_refused_even_where_no_report_may_be_sent() -> None:
    """V25, E67: in the dialogue there is no report."""
    for message in (MessageFacts(), MessageFacts(answerable=False)):
        found = refuse_for_teams(Facts(message, (ONE, OTHER), may_report=False))
        assert isinstance(found, Refusal)
        assert "team@example.test, sales@example.test" in found.detail


def test_v25_the_others_are_served_and_every_team_is_reported() -> None:
    """V25."""
    settled = refuse_for_teams(Facts(MessageFacts(), (ONE, PERSON, OTHER, STRANGER)))
    assert isinstance(settled, tuple)
    served, refused = settled
    assert [str(item) for item in served] == ["alice@example.test", "x@y.org"]
    assert [(str(item.recipient), item.why) for item in refused] == [
        ("team@example.test", Why.TEAM_GETS_NO_ENCRYPTED),
        ("sales@example.test", Why.TEAM_GETS_NO_ENCRYPTED),
    ]


def test_e68_nobody_is_dropped_where_no_report_may_be_sent() -> None:
    """E68, R28."""
    automatic = Facts(MessageFacts(answerable=False), (ONE, PERSON))
    assert refuse_for_teams(automatic) is None
    assert refuse_for_teams(Facts(MessageFacts(), (ONE, PERSON), may_report=False)) is None


def test_what_teams_want_to_be_said_is_said_where_they_agree() -> None:
    def told(mailbox: str, text: str) -> RecipientFacts:
        team = replace(account(mailbox, Kind.TEAM), refusal_text=text)
        return to(mailbox, who=team)

    one, same, other = told("a@b.c", "Call."), told("d@b.c", "Call."), told("e@b.c", "Write.")
    for recipients, said in (((one, same), "Call."), ((one, other), ""), ((one, ONE), "")):
        found = refuse_for_teams(Facts(MessageFacts(), recipients))
        assert isinstance(found, Refusal)
        assert found.instead == said
    settled = refuse_for_teams(Facts(MessageFacts(), (one, other, PERSON)))
    assert isinstance(settled, tuple)
    assert [item.instead for item in settled[1]] == ["Call.", "Write."]
