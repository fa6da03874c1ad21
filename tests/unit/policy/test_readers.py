"""Who reads for whom: one step, never a team, by any address of the reader's account."""

from dataclasses import replace

from smime_proxy.address import parse_mailbox
from smime_proxy.policy.readers import by_reader, reader_problem
from smime_proxy.policy.rules import Account
from tests.unit.policy.cases import ALICE, BOB, TEAM

CAROL = Account(
    parse_mailbox("carol@example.test"), aliases=frozenset({parse_mailbox("c@example.test")})
)


def reading(account: Account, *readers: str) -> Account:
    return replace(account, readers=frozenset(map(parse_mailbox, readers)))


def found(*accounts: Account) -> dict[str, list[str]]:
    """Give, by reader, for whom he reads."""
    by_address = {
        mailbox.key: account
        for account in accounts
        for mailbox in (account.address, *account.aliases)
    }
    return {
        key: [account.address.local for account in read]
        for key, read in by_reader(by_address).items()
    }


def test_a_reader_with_an_account_is_found_by_its_address_whichever_is_named() -> None:
    assert found(reading(ALICE, "C@example.test"), CAROL) == {
        "c@example.test": ["alice"],
        "carol@example.test": ["alice"],
    }


def test_a_reader_needs_no_account_and_may_read_for_several() -> None:
    read = (reading(BOB, "d@example.net"), reading(ALICE, "d@example.net", "e@example.net"))
    assert found(*read) == {"d@example.net": ["alice", "bob"], "e@example.net": ["alice"]}


def test_reading_goes_one_step_and_may_go_both_ways() -> None:
    chain = (reading(ALICE, "bob@example.test"), reading(BOB, "carol@example.test"), CAROL)
    assert found(*chain) == {"bob@example.test": ["alice"], "carol@example.test": ["bob"]}
    loop = (reading(ALICE, "bob@example.test"), reading(BOB, "alice@example.test"))
    assert found(*loop) == {"bob@example.test": ["alice"], "alice@example.test": ["bob"]}


def test_nobody_reads_for_a_team_and_a_team_reads_for_nobody() -> None:
    own = {"team+x@example.test": TEAM, "bob@example.test": BOB}.get
    assert found(reading(TEAM, "bob@example.test"), BOB) == {}
    assert "no readers" in reader_problem(
        reading(TEAM, "bob@example.test"), lambda one: own(one.key)
    )
    read = reading(ALICE, "bob@example.test", "team+x@example.test")
    problem = reader_problem(read, lambda one: own(one.key))
    assert problem.startswith("team+x@example.test is a team account")
    assert reader_problem(reading(ALICE, "bob@example.test"), lambda one: own(one.key)) == ""
    assert reader_problem(TEAM, lambda one: own(one.key)) == ""
