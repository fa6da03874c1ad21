"""Whose keys open a mail for whom: his own and those of the accounts he reads for, no others."""

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.cms.enveloped_data import EnvelopedData
from smime_proxy.gateway.gather import own_account
from smime_proxy.gateway.openers import Openers
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Kind
from smime_proxy.smime.classify import outline
from tests.fakes import FakeDirectory
from tests.unit.cms import parties
from tests.unit.smime.cases import enveloped, message

BOSS, CHAIR, DEPUTY = "boss@example.test", "chair@example.test", "deputy@example.test"
OUTSIDE = "deputy@example.net"  # no account
INNER = b"Content-Type: text/plain\r\n\r\nx"


def directory() -> FakeDirectory:
    """Make accounts of boss, whom deputy and somebody outside read for, and of chair above him."""
    made = FakeDirectory()
    read_by = frozenset(map(parse_mailbox, ("d.alias@example.test", OUTSIDE)))
    made.add(BOSS, parties.party("rsa", "boss"), readers=read_by)
    made.add(CHAIR, parties.party("rsa", "chair"), readers=frozenset({parse_mailbox(BOSS)}))
    aliases = frozenset({parse_mailbox("d.alias@example.test")})
    made.add(DEPUTY, parties.party("rsa", "deputy"), aliases=aliases)
    made.add("team@example.test", parties.party("rsa", "team"), kind=Kind.TEAM)
    return made


def sealed_for(*names: str) -> EnvelopedData:
    found = outline(parse(message(enveloped(INNER, *names)))).enveloped
    assert found is not None
    return found


def opened(
    made: FakeDirectory, enveloped_data: EnvelopedData, *recipients: str
) -> dict[str, list[str]]:
    """Give, by recipient, the names of the accounts whose keys open the mail for him."""
    openers = Openers(made, enveloped_data)
    found = {}
    for name in recipients:
        mailbox = parse_mailbox(name)
        accounts = openers.of(mailbox, own_account(made, mailbox))
        found[name] = [account.address.local for account in accounts]
    return found


def test_a_reader_opens_with_the_keys_of_those_he_reads_for() -> None:
    """I6."""
    assert opened(directory(), sealed_for("boss"), BOSS, DEPUTY, OUTSIDE, "s@example.test") == {
        BOSS: ["boss"],
        DEPUTY: ["boss"],
        OUTSIDE: ["boss"],
        "s@example.test": [],
    }


def test_his_own_keys_are_tried_first_and_those_of_others_only_where_named() -> None:
    both = opened(directory(), sealed_for("boss", "deputy"), DEPUTY, BOSS, OUTSIDE)
    assert both == {DEPUTY: ["deputy", "boss"], BOSS: ["boss"], OUTSIDE: ["boss"]}
    assert opened(directory(), sealed_for("deputy"), DEPUTY, BOSS, OUTSIDE) == {
        DEPUTY: ["deputy"],
        BOSS: [],
        OUTSIDE: [],
    }


def test_an_account_reads_by_every_address_of_its_own_and_a_stranger_by_the_named_one() -> None:
    """E75: a tag is dropped only to find an account."""
    spellings = ("D.Alias@example.test", "deputy+tag@example.test", "d.alias+x@example.test")
    found = opened(directory(), sealed_for("boss"), *spellings, "deputy+tag@example.net")
    assert list(found.values()) == [["boss"], ["boss"], ["boss"], []]


def test_reading_goes_no_further_than_one_step() -> None:
    """Boss reads for chair and deputy for boss: deputy gets nothing of chair's."""
    found = opened(directory(), sealed_for("chair"), CHAIR, BOSS, DEPUTY, OUTSIDE)
    assert list(found.values()) == [["chair"], ["chair"], [], []]


def test_two_that_read_for_each_other_do_so() -> None:
    made = directory()
    made.add(CHAIR, parties.party("rsa", "chair"), readers=frozenset({parse_mailbox(BOSS)}))
    made.add(BOSS, parties.party("rsa", "boss"), readers=frozenset({parse_mailbox(CHAIR)}))
    found = opened(made, sealed_for("chair", "boss"), CHAIR, BOSS)
    assert found == {CHAIR: ["chair", "boss"], BOSS: ["boss", "chair"]}


def test_a_team_opens_nothing_whatever_names_it() -> None:
    made = directory()
    team = parse_mailbox("team@example.test")
    made.add(BOSS, parties.party("rsa", "boss"), readers=frozenset({team}))
    made.add(
        "other@example.test",
        parties.party("rsa", "other"),
        kind=Kind.TEAM,
        readers=frozenset({parse_mailbox(DEPUTY)}),
    )
    made.unavailable |= {team, parse_mailbox("other@example.test")}
    found = opened(made, sealed_for("boss", "team", "other"), str(team), DEPUTY)
    assert found == {str(team): [], DEPUTY: []}


def test_a_key_that_cannot_be_loaded_stops_only_the_mail_that_needs_it() -> None:
    made = directory()
    made.unavailable.add(parse_mailbox(BOSS))
    for needing in (DEPUTY, OUTSIDE, BOSS):
        with pytest.raises(KeyUnavailable, match="boss"):
            opened(made, sealed_for("boss"), needing)
    assert opened(made, sealed_for("boss", "deputy"), DEPUTY) == {DEPUTY: ["deputy"]}
    assert opened(made, sealed_for("chair"), DEPUTY, OUTSIDE) == {DEPUTY: [], OUTSIDE: []}


def test_each_account_is_asked_once_for_a_thousand_recipients() -> None:
    class Counting(FakeDirectory):
        asked = 0

        def decryption_keys(self, account: object) -> list:  # type: ignore[type-arg]
            self.asked += 1
            return list(super().decryption_keys(account))  # type: ignore[arg-type]

    known = directory()
    made = Counting(known.by_address, known.key_entries)
    opened(made, sealed_for("boss"), *(f"deputy+{n}@example.test" for n in range(1000)))
    assert made.asked == 2
