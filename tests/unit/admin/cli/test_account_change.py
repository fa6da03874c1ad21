import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.cli.account_change import Change, EncryptWord, SignWord, refuse_readers
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


def test_readers_are_refused_rather_than_ignored() -> None:
    refuse_readers(None)
    with pytest.raises(CommandError, match="not supported"):
        refuse_readers(["b@example.test"])


def test_a_refusal_text_is_set_kept_and_taken_away() -> None:
    told = Change(refusal_text=" Bitte für später. ").apply(ALICE, Settings())
    assert told.refusal_text == "Bitte für später."
    assert Change().apply(told, Settings()) == told
    assert Change(refusal_text="").apply(told, Settings()) == ALICE


@pytest.mark.parametrize("text", ["a\nb", "x" * 201, "Почта"])
def test_a_refusal_text_that_no_reply_can_carry_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--refusal-text must"):
        Change(refusal_text=text).apply(ALICE, Settings())
