import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.cli.account_change import Change, EncryptWord, SignWord, unserved
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.settings import Settings

ALICE = Account(parse_mailbox("alice@example.test"))


def test_an_empty_change_changes_nothing() -> None:
    account = Account(
        ALICE.address,
        Kind.TEAM,
        frozenset({parse_mailbox("a@example.test")}),
        frozenset({"login"}),
        Override(sign=Sign.NEVER, encrypt=Encrypt.REQUIRED, sent_copy=""),
        enabled=False,
    )
    assert Change().apply(account, Settings()) == account


def test_every_option_reaches_the_account() -> None:
    change = Change(
        Kind.TEAM,
        SignWord.NEVER,
        EncryptWord.REQUIRED,
        ("b@example.test",),
        ("login",),
        "maildir:///srv/{address}",
        enable=True,
    )
    changed = change.apply(ALICE, Settings())
    assert changed.kind is Kind.TEAM
    assert changed.override == Override(
        sign=Sign.NEVER, encrypt=Encrypt.REQUIRED, sent_copy="maildir:///srv/{address}"
    )
    assert changed.aliases == {parse_mailbox("b@example.test")}
    assert changed.logins == {"login"}


def test_default_takes_an_own_value_away() -> None:
    set_ = Change(None, SignWord.NEVER, EncryptWord.NEVER, sent_copy="").apply(ALICE, Settings())
    assert set_.override.sent_copy == ""
    back = Change(None, SignWord.DEFAULT, EncryptWord.DEFAULT, sent_copy="default")
    assert back.apply(set_, Settings()) == ALICE


def test_words_are_those_of_the_policy() -> None:
    assert {word.value for word in SignWord} == {value.value for value in Sign} | {"default"}
    assert {word.value for word in EncryptWord} == {value.value for value in Encrypt} | {"default"}


def test_readers_are_replaced_and_taken_away() -> None:
    read = Change(readers=("b@example.test", "C@example.test")).apply(ALICE, Settings())
    assert read.readers == set(map(parse_mailbox, ("b@example.test", "c@example.test")))
    assert Change().apply(read, Settings()) == read
    assert Change(readers=("d@example.test",)).apply(read, Settings()).readers == {
        parse_mailbox("d@example.test")
    }
    assert Change(readers=("",)).apply(read, Settings()) == ALICE
    with pytest.raises(CommandError, match="is not an address"):
        Change(readers=("b",)).apply(ALICE, Settings())


def test_who_can_get_no_mail_here_is_told_of() -> None:
    listener = {"bind": "127.0.0.1:1", "upstream": "x"}
    settings = Settings.model_validate(
        {
            "upstreams": {"x": {"url": "maildir:///x"}},
            "listeners": {
                "out": {"role": "outbound", **listener},
                "in": {"role": "inbound", **listener, "domains": ["Example.test"]},
            },
        }
    )
    readers = map(parse_mailbox, ("c@sub.example.test", "b@EXAMPLE.test", "a@example.net"))
    assert [note.partition(":")[0] for note in unserved(readers, settings)] == [
        "a@example.net",
        "c@sub.example.test",
    ]


def test_a_refusal_text_is_set_kept_and_taken_away() -> None:
    told = Change(refusal_text=" Bitte für später. ").apply(ALICE, Settings())
    assert told.refusal_text == "Bitte für später."
    assert Change().apply(told, Settings()) == told
    assert Change(refusal_text="").apply(told, Settings()) == ALICE


@pytest.mark.parametrize("text", ["a\nb", "x" * 201, "Почта"])
def test_a_refusal_text_that_no_reply_can_carry_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--refusal-text must"):
        Change(refusal_text=text).apply(ALICE, Settings())
