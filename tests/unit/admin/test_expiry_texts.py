"""What people read when something ends."""

from datetime import timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.expiry import Expiry, Use
from smime_proxy.admin.expiry_texts import consequence, line, to_account, to_administrator
from smime_proxy.policy.rules import Account, OnMissingKey, Policy, Rules
from tests import pki
from tests.pki import NOW

DAY = timedelta(days=1)
ALICE = Account(parse_mailbox("alice@example.com"))
CERTIFICATE = pki.root().certificate
RULES = Rules()
REJECT = Rules(default=Policy(on_missing_key=OnMissingKey.REJECT))


def ending(use: Use = Use.SIGNING, days: int = 14) -> Expiry:
    account = None if use is Use.ANCHOR else ALICE
    return Expiry(use, NOW + days * DAY, CERTIFICATE, account)


@pytest.mark.parametrize("use", Use)
def test_a_line_names_whose_it_is_and_the_date(use: Use) -> None:
    assert "expires on 2026-06-15" in line(ending(use), NOW)
    assert "expired on 2026-05-30" in line(ending(use, -2), NOW)
    name = "Test Root" if use is Use.ANCHOR else "alice@example.com"
    assert name in line(ending(use), NOW)


def test_what_happens_then_is_what_policy_says() -> None:
    assert "leaves unsigned" in consequence(ending(), RULES)
    assert "is refused" in consequence(ending(), REJECT)
    assert "stays readable" in consequence(ending(Use.ENCRYPTION), RULES)
    assert "is trusted any more" in consequence(ending(Use.ANCHOR), RULES)


def test_one_thing_stands_in_the_subject_and_several_are_counted() -> None:
    one = to_administrator([ending()], RULES, "mail.example.com", NOW)
    assert one.subject == (
        "[smime-proxy] alice@example.com: the key that signs its mail expires on 2026-06-15"
    )
    two = to_administrator([ending(), ending(Use.ANCHOR)], RULES, "mail.example.com", NOW)
    assert two.subject == "[smime-proxy] 2 keys or certificates end"
    assert line(ending(Use.ANCHOR), NOW) in two.text
    assert "account import-key" in two.text
    assert "mail.example.com" in two.text


@pytest.mark.parametrize(("days", "word"), [(14, "expires"), (-1, "expired")])
def test_an_account_reads_of_its_own_key(days: int, word: str) -> None:
    text = to_account([ending(days=days)], RULES, "mail.example.com", NOW)
    assert text.subject.startswith(f"Your e-mail certificate {word} on 2026-0")
    assert "ask your administrator" in text.text
    assert max(map(len, text.text.split("\n"))) < 100
