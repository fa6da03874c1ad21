"""The certificate of each recipient, remembered for a while and never beyond its snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.path import Anchor
from smime_proxy.certs.source import MinimumSource, Source
from smime_proxy.gateway.choices import MAX_REMEMBERED, REMEMBER, RecipientChoices
from tests import pki
from tests.fakes import AT, FakeDirectory, FakeKey
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, PARTNER, partner, world

MAILBOX = parse_mailbox(PARTNER)
LEAST = MinimumSource.HARVESTED


@dataclass
class Counting(FakeDirectory):
    asked: int = 0

    def anchors(self) -> Sequence[Anchor]:
        self.asked += 1
        return self.roots


def counting() -> Counting:
    known = world().directory
    return Counting(known.by_address, known.key_entries, known.partners, known.roots)


def test_an_answer_is_remembered_for_the_snapshot_and_a_minute() -> None:
    directory, choices = counting(), RecipientChoices()
    for later in (timedelta(0), REMEMBER - timedelta(seconds=1)):
        chosen, problem = choices.choose(directory, MAILBOX, None, AT + later)
        assert (chosen is not None, problem) == (True, "")
    assert directory.asked == 1
    choices.choose(directory, MAILBOX, None, AT + REMEMBER)
    choices.choose(directory, MAILBOX, None, AT - REMEMBER)  # the clock was set back
    assert directory.asked == 3
    other = counting()
    other.partners = {}
    assert choices.choose(other, MAILBOX, None, AT) == (None, "no certificate")
    assert other.asked == 1


def test_too_many_are_forgotten() -> None:
    directory, choices = counting(), RecipientChoices()
    choices.choose(directory, MAILBOX, None, AT)
    answer = choices._state[1][(MAILBOX.key, LEAST)]
    choices._state[1].update(
        ((f"{number}@y.org", LEAST), answer) for number in range(MAX_REMEMBERED)
    )
    choices.choose(directory, parse_mailbox("new@y.org"), None, AT)
    assert list(choices._state[1]) == [("new@y.org", LEAST)]


def test_an_expiry_is_noticed() -> None:
    directory, choices = counting(), RecipientChoices()
    end = partner().certificate.not_after
    assert choices.choose(directory, MAILBOX, None, end)[0] is not None
    assert "expired" in choices.choose(directory, MAILBOX, None, end + REMEMBER)[1]


def test_e72_only_a_trusted_or_pinned_certificate_is_encrypted_to() -> None:
    """E72, A13."""
    directory = FakeDirectory()
    stranger = pki.person(None, PARTNER, label="smime person", kind="rsa")
    directory.know(PARTNER, stranger)
    assert "untrusted" in RecipientChoices().choose(directory, MAILBOX, None, AT)[1]
    directory.partners.clear()
    directory.know(PARTNER, stranger, pinned=True)
    assert RecipientChoices().choose(directory, MAILBOX, None, AT)[0] is not None


def test_our_own_accounts_have_their_own_current_certificate() -> None:
    directory = world().directory
    account = directory.account(parse_mailbox(ALICE))
    assert account is not None
    tagged = parse_mailbox("alice+x@example.test")
    chosen, _ = RecipientChoices().choose(directory, tagged, account, AT)
    assert chosen is not None
    assert chosen.certificate == parties.party().certificate
    former = FakeKey(parties.party(), former=True)
    directory.key_entries[account.address] = [former]
    assert RecipientChoices().choose(directory, tagged, account, AT)[0] is None


def test_what_one_sender_may_use_is_not_given_to_a_stricter_one() -> None:
    directory, choices = counting(), RecipientChoices()
    known = directory.partners[MAILBOX][0]
    directory.partners[MAILBOX] = [replace(known, source=Source.HARVESTED)]
    assert choices.choose(directory, MAILBOX, None, AT)[0] is not None
    assert choices.choose(directory, MAILBOX, None, AT, MinimumSource.MANUAL)[0] is None
    assert choices.choose(directory, MAILBOX, None, AT)[0] is not None
