"""The certificate of each recipient, remembered for a while and never beyond its snapshot."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor, Anchors
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.source import MinimumSource, Source
from smime_proxy.gateway.choices import MAX_REMEMBERED, REMEMBER, RecipientChoice, RecipientChoices
from tests import pki
from tests.fakes import AT, FakeDirectory, FakeKey
from tests.unit.certs.answers import DAY, Known, crl
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, PARTNER, partner, world

MAILBOX = parse_mailbox(PARTNER)
LEAST = MinimumSource.HARVESTED
ISSUING = pki.intermediate(parties.root(), kind="p256")
OLD = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass
class Counting(FakeDirectory):
    asked: int = 0

    def anchors(self) -> Anchors:
        self.asked += 1
        return super().anchors()


def counting() -> Counting:
    known = world().directory
    return Counting(known.by_address, known.key_entries, known.partners, known.roots)


def test_an_answer_is_remembered_for_the_snapshot_and_a_minute() -> None:
    directory, choices = counting(), RecipientChoices()
    for later in (timedelta(0), REMEMBER - timedelta(seconds=1)):
        choice = choices.choose(directory, MAILBOX, None, AT + later)
        assert (choice.certificate is not None, choice.problem) == (True, "")
    assert directory.asked == 1
    choices.choose(directory, MAILBOX, None, AT + REMEMBER)
    choices.choose(directory, MAILBOX, None, AT - REMEMBER)  # the clock was set back
    assert directory.asked == 3
    other = counting()
    other.partners = {}
    assert choices.choose(other, MAILBOX, None, AT) == RecipientChoice(None, "no certificate")
    assert other.asked == 1


def test_too_many_are_forgotten() -> None:
    directory, choices = counting(), RecipientChoices()
    choices.choose(directory, MAILBOX, None, AT)
    answer = choices._state[2][(MAILBOX.key, LEAST)]
    choices._state[2].update(
        ((f"{number}@y.org", LEAST), answer) for number in range(MAX_REMEMBERED)
    )
    choices.choose(directory, parse_mailbox("new@y.org"), None, AT)
    assert list(choices._state[2]) == [("new@y.org", LEAST)]


def test_an_expiry_is_noticed() -> None:
    directory, choices = counting(), RecipientChoices()
    end = partner().certificate.not_after
    assert choices.choose(directory, MAILBOX, None, end).certificate is not None
    after = choices.choose(directory, MAILBOX, None, end + REMEMBER)
    assert after == RecipientChoice(
        None, f"expired on {end:%Y-%m-%d}", f"its certificate expired on {end:%Y-%m-%d}"
    )


def test_e72_only_a_trusted_or_pinned_certificate_is_encrypted_to() -> None:
    """E72, A13."""
    directory = FakeDirectory()
    stranger = pki.person(None, PARTNER, label="smime person", kind="rsa")
    directory.know(PARTNER, stranger)
    choice = RecipientChoices().choose(directory, MAILBOX, None, AT)
    assert ("untrusted" in choice.problem, choice.lapsed) == (True, "")
    directory.partners.clear()
    directory.know(PARTNER, stranger, pinned=True)
    assert RecipientChoices().choose(directory, MAILBOX, None, AT).certificate is not None


@dataclass
class Completing(FakeDirectory):
    """A directory that knows an authority which a partner's certificate came without."""

    def intermediates(self) -> Issuers:
        return Issuers.of([ISSUING.certificate])


def test_e39_known_authorities_complete_a_chain() -> None:
    """E39."""
    bare = pki.Identity(pki.person(ISSUING, PARTNER, kind="rsa").certificate, parties.root().key)
    for directory, found in ((FakeDirectory(), False), (Completing(), True)):
        directory.roots = [Anchor(parties.root().certificate)]
        directory.know(PARTNER, bare)
        choice = RecipientChoices().choose(directory, MAILBOX, None, AT)
        assert (choice.certificate is not None) is found


def test_our_own_accounts_have_their_own_current_certificate() -> None:
    directory = world().directory
    account = directory.account(parse_mailbox(ALICE))
    assert account is not None
    tagged = parse_mailbox("alice+x@example.test")
    chosen = RecipientChoices().choose(directory, tagged, account, AT).certificate
    assert chosen is not None
    assert chosen.certificate == parties.party().certificate
    former = FakeKey(parties.party(), former=True)
    directory.key_entries[account.address] = [former]
    assert RecipientChoices().choose(directory, tagged, account, AT).certificate is None


def test_what_one_sender_may_use_is_not_given_to_a_stricter_one() -> None:
    directory, choices = counting(), RecipientChoices()
    known = directory.partners[MAILBOX][0]
    directory.partners[MAILBOX] = [replace(known, source=Source.HARVESTED)]
    assert choices.choose(directory, MAILBOX, None, AT).certificate is not None
    strict = choices.choose(directory, MAILBOX, None, AT, MinimumSource.MANUAL)
    assert strict.certificate is None
    assert choices.choose(directory, MAILBOX, None, AT).certificate is not None


def shared(**declared: object) -> pki.Identity:
    """Make the certificate of a gateway, which names nobody of the domain it stands for."""
    return pki.person(parties.root(), "gate@hub.example.net", **declared)


def choice_of(directory: FakeDirectory, address: str = PARTNER) -> RecipientChoice:
    return RecipientChoices().choose(directory, parse_mailbox(address), None, AT)


def test_the_certificate_of_a_domain_serves_who_there_has_none_of_his_own() -> None:
    directory = world().directory
    gate = shared()
    directory.know_domain("example.org", gate)
    assert choice_of(directory).problem == ""
    other = choice_of(directory, "other@Example.ORG")
    assert other.certificate is not None
    assert other.certificate.certificate == gate.certificate
    assert other.problem == "encrypted to the certificate of example.org"
    assert other.lapsed == ""
    for elsewhere in ("x@sub.example.org", "x@org", "x@hub.example.net"):
        assert choice_of(directory, elsewhere) == RecipientChoice(None, "no certificate")


def test_of_an_own_certificate_that_ended_and_one_of_the_domain_that_is_used() -> None:
    directory = FakeDirectory(roots=[Anchor(parties.root().certificate)])
    directory.know(PARTNER, pki.person(parties.root(), PARTNER, not_after=OLD))
    directory.know_domain("example.org", shared())
    choice = choice_of(directory)
    assert choice.certificate is not None
    assert not choice.certificate.is_personal(MAILBOX)
    assert choice.lapsed == "its certificate expired on 2021-01-01"
    assert choice.problem == f"{choice.lapsed}; encrypted to the certificate of example.org"


def test_the_certificate_of_a_domain_ends_like_any_other() -> None:
    directory = FakeDirectory(roots=[Anchor(parties.root().certificate)])
    directory.know_domain("example.org", shared(not_after=OLD))
    choice = choice_of(directory)
    assert (choice.certificate, choice.problem) == (None, "expired on 2021-01-01")
    assert choice.lapsed == "the certificate of example.org expired on 2021-01-01"


def test_the_certificate_of_a_domain_is_for_none_of_our_own() -> None:
    directory = world().directory
    account = directory.account(parse_mailbox(ALICE))
    assert account is not None
    directory.key_entries[account.address] = []
    directory.know_domain("example.test", shared())
    choice = RecipientChoices().choose(directory, account.address, account, AT)
    assert choice == RecipientChoice(None, "no certificate")


def test_who_was_revoked_is_not_encrypted_to_and_lapsed() -> None:
    """E81, V8."""
    identity = partner()
    revoked = crl(parties.root(), identity, this_update=AT - DAY, next_update=AT + DAY, at=AT - DAY)
    choices = RecipientChoices(Revocation(Mode.SOFT, Known([revoked])))
    choice = choices.choose(counting(), MAILBOX, None, AT)
    assert choice.certificate is None
    assert "revoked on" in choice.problem
    assert "revoked on" in choice.lapsed
    assert not choice.waits


def test_in_hard_mode_mail_waits_for_an_answer_and_no_longer() -> None:
    known = Known()
    choices, directory = RecipientChoices(Revocation(Mode.HARD, known)), counting()
    choice = choices.choose(directory, MAILBOX, None, AT)
    assert (choice.certificate, choice.waits, choice.lapsed) == (None, True, "")
    known.crls = [crl(parties.root(), this_update=AT - DAY, next_update=AT + DAY)]
    assert choices.choose(directory, MAILBOX, None, AT).certificate is not None


def test_a_choice_that_is_remembered_says_again_what_is_not_known() -> None:
    known, wanted = Known(), list[object]()
    revocation = Revocation(Mode.SOFT, known, lambda one, _: wanted.append(one))
    choices, directory = RecipientChoices(revocation), counting()
    told: list[object] = []
    for _ in range(2):
        choices.choose(directory, MAILBOX, None, AT)
        choices.choose(directory, MAILBOX, None, AT, want=lambda one, _: told.append(one))
    assert wanted == told == [partner().certificate] * 2
    looked = directory.asked
    known.crls = [crl(parties.root(), partner(), this_update=AT - DAY, next_update=AT + DAY)]
    assert choices.choose(directory, MAILBOX, None, AT).certificate is not None
    assert directory.asked == looked
    known.version += 1  # and nobody revoked is encrypted to for another minute
    assert choices.choose(directory, MAILBOX, None, AT).certificate is None
