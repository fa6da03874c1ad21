"""Answers lie in the store for all processes, and in memory for the mail."""

import itertools
from dataclasses import fields
from datetime import timedelta

import pytest
from sqlalchemy import update

from smime_proxy.address import parse_mailbox
from smime_proxy.certs import authority
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.crl import Reason
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation import MAX_LISTS, Status, standing
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name
from smime_proxy.gateway.ports import Claim
from smime_proxy.stores import answers, issued, revocation_lists, schema
from smime_proxy.stores import authority as stored_authority
from smime_proxy.stores.answers import CLAIM, FIRST_RETRY, KEPT, LAST_RETRY, AnswerShelf
from smime_proxy.stores.connection import Act, Store
from tests import pki
from tests.unit.certs.answers import DAY, NOW, crl_der, ocsp_der
from tests.unit.certs.test_status_sources import points

ROOT = pki.root(kind="p256")
URL = "http://lists.test/root.crl"
ALICE = pki.person(ROOT, "a@x.y", kind="p256", extra=[points(URL)])
KEY = pki.rsa_key("authority")
ALICE_HERE = parse_mailbox("alice@example.test")
NAME = ocsp_name(ALICE.certificate, ROOT.certificate)


def test_what_one_process_keeps_another_has_after_a_look(store: Store) -> None:
    one, other = AnswerShelf(store), AnswerShelf(store)
    assert one.claim(URL, NOW) is Claim.OURS
    one.keep(URL, crl_der(ROOT, ALICE), NOW, NOW + DAY)
    assert one.claim(NAME, NOW) is Claim.OURS
    one.keep(NAME, ocsp_der(ALICE, ROOT), NOW, NOW + DAY)
    assert other.lists(ALICE.certificate, ROOT.certificate) == []
    assert other.refresh() == 2
    (found,) = other.lists(ALICE.certificate, ROOT.certificate)
    assert found.entry(ALICE.certificate) is not None
    (answer,) = other.ocsp(ALICE.certificate, ROOT.certificate)
    assert answer.known
    assert other.refresh() == 0
    assert other.lists(ALICE.certificate, ROOT.certificate) == [found]


def test_a_list_serves_everybody_of_its_issuer(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    bob = pki.person(ROOT, "b@x.y", kind="p256").certificate
    assert len(shelf.lists(bob, ROOT.certificate)) == 1
    stranger = pki.person(pki.root("Other", kind="p256"), "c@x.y", kind="p256").certificate
    assert shelf.lists(stranger, ROOT.certificate) == []
    assert shelf.ocsp(bob, ROOT.certificate) == ()


def test_mail_is_judged_while_new_lists_come_in(store: Store) -> None:
    shelf = AnswerShelf(store)

    def arrive(url: str) -> None:
        shelf.claim(url, NOW)
        shelf.keep(url, crl_der(ROOT), NOW, NOW + DAY)
        shelf.refresh()

    class Meanwhile(Certificate):
        """Lets a list arrive whenever it is looked at."""

        __slots__ = ()

        def __getattribute__(self, name: str) -> object:
            if name == "issuer_key":
                arrive(f"{URL}?{next(numbers)}")
            return super().__getattribute__(name)

    numbers = itertools.count()
    arrive(URL)
    arrive(f"{URL}?again")
    seen = Meanwhile(**{f.name: getattr(ALICE.certificate, f.name) for f in fields(Certificate)})
    assert len(shelf.lists(seen, ROOT.certificate)) == 3


def test_lists_of_others_are_not_looked_through(store: Store) -> None:
    shelf = AnswerShelf(store)
    for number in range(3):
        url = f"http://lists.test/{number}"
        shelf.claim(url, NOW)
        shelf.keep(url, crl_der(pki.root(f"Root {number}", kind="p256")), NOW, NOW + DAY)
    shelf.refresh()
    shelf._lists = dict.fromkeys(shelf._lists)  # type: ignore[assignment]  # who looks fails
    assert shelf.lists(ALICE.certificate, ROOT.certificate) == []
    again = pki.person(pki.root("Root 1", kind="p256"), "d@x.y", kind="p256").certificate
    assert len(shelf.lists(again, ROOT.certificate)) == 1


def test_a_list_that_changes_its_issuer_is_that_of_the_new_one(store: Store) -> None:
    """Whoever signs it is another question; what is kept must not grow."""
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    shelf.keep(URL, crl_der(pki.root("Other", kind="p256")), NOW + DAY, NOW + 2 * DAY)
    shelf.refresh()
    bob = pki.person(ROOT, "b@x.y", kind="p256").certificate
    assert shelf.lists(bob, ROOT.certificate) == []
    assert len(shelf._by_issuer) == 1
    shelf.forget_old(NOW + 3 * KEPT)
    shelf.refresh()
    assert shelf._by_issuer == {}


def test_what_is_due_first_goes_when_all_is_too_much(store: Store) -> None:
    der = crl_der(ROOT, ALICE)
    shelf, other = AnswerShelf(store, max_octets=2 * len(der)), AnswerShelf(store)
    urls = [f"http://lists.test/{number}" for number in range(4)]
    for url, due in zip(urls, (3, 1, 2, 4), strict=True):
        shelf.claim(url, NOW)
        shelf.keep(url, der, NOW, NOW + due * DAY)
        other.refresh()
        shelf.refresh()
    assert [shelf.kept(url) is not None for url in urls] == [True, False, False, True]
    assert [other.kept(url) is not None for url in urls] == [True, False, False, True]
    assert shelf.claim(urls[1], NOW) is Claim.OURS  # and is fetched when it is wanted
    tiny = AnswerShelf(store, max_octets=1)
    tiny.keep(urls[0], der, NOW, NOW + DAY)  # the newest stays, whatever its size
    tiny.refresh()
    assert [tiny.kept(url) is not None for url in urls] == [True, False, False, False]


def test_the_number_of_a_shelf_tells_that_something_changed(store: Store) -> None:
    shelf = AnswerShelf(store)
    before = shelf.version
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    came = shelf.version
    shelf.forget_old(NOW + 3 * KEPT)
    shelf.refresh()
    assert before < came < shelf.version
    shelf.refresh()
    assert came + 1 == shelf.version


def test_what_is_kept_is_found_by_its_name(store: Store) -> None:
    shelf = AnswerShelf(store)
    for name, der in ((URL, crl_der(ROOT, number=9)), (NAME, ocsp_der(ALICE, ROOT))):
        assert shelf.kept(name) is None
        shelf.claim(name, NOW)
        shelf.keep(name, der, NOW, NOW + DAY)
    shelf.refresh()
    found, answer = shelf.kept(URL), shelf.kept(NAME)
    assert isinstance(found, Crl)
    assert found.number == 9
    assert isinstance(answer, OcspAnswer)


def test_a_newer_answer_takes_the_place_of_the_old(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    for number in (1, 2):
        shelf.keep(URL, crl_der(ROOT, number=number), NOW + number * DAY, NOW + DAY)
        shelf.refresh()
        (found,) = shelf.lists(ALICE.certificate, ROOT.certificate)
        assert found.number == number


def test_one_process_fetches_and_the_others_wait(store: Store) -> None:
    one, other = AnswerShelf(store), AnswerShelf(store)
    assert one.claim(URL, NOW) is Claim.OURS
    assert other.claim(URL, NOW + timedelta(seconds=1)) is Claim.THEIRS
    assert other.claim(URL, NOW + CLAIM + timedelta(seconds=1)) is Claim.OURS  # the first one died
    other.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    assert one.claim(URL, NOW + DAY / 2) is Claim.FRESH
    assert len(one.lists(ALICE.certificate, ROOT.certificate)) == 1
    assert one.claim(URL, NOW + DAY / 2) is Claim.LATER
    assert one.claim(URL, NOW + DAY) is Claim.OURS


def test_who_fails_is_asked_later_and_later_still(store: Store) -> None:
    shelf, at = AnswerShelf(store), NOW
    assert shelf.claim(URL, at) is Claim.OURS
    waits = []
    for _ in range(12):
        shelf.fail(URL, at)
        wait = FIRST_RETRY
        while shelf.claim(URL, at + wait) is Claim.LATER:
            wait *= 2
            assert wait <= 2 * LAST_RETRY
        waits.append(wait)
        at += wait
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert max(waits) <= 2 * LAST_RETRY


def test_a_failure_leaves_the_old_answer(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT, ALICE), NOW, NOW)
    shelf.fail(URL, NOW + DAY)
    shelf.refresh()
    assert len(shelf.lists(ALICE.certificate, ROOT.certificate)) == 1


def test_what_nobody_asks_for_any_more_is_forgotten(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    assert shelf.forget_old(NOW + KEPT) == 0
    assert shelf.forget_old(NOW + KEPT + 2 * DAY) == 1
    shelf.refresh()
    assert shelf.lists(ALICE.certificate, ROOT.certificate) == []


def test_there_is_an_end_to_what_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_KEPT", 2)
    shelf = AnswerShelf(store)
    claims = [shelf.claim(f"http://a.test/{n}", NOW) for n in range(3)]
    assert claims == [Claim.OURS, Claim.OURS, Claim.LATER]
    for number in range(2):
        shelf.keep(f"http://a.test/{number}", crl_der(ROOT), NOW, NOW + DAY)
    assert shelf.claim("http://a.test/2", NOW + DAY / 2) is Claim.LATER
    assert shelf.claim("http://a.test/0", NOW + DAY) is Claim.OURS


def test_sources_that_do_not_answer_keep_no_others_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates may name any number of them, each in four URLs and a responder."""
    monkeypatch.setattr(answers, "MAX_KEPT", 4)
    shelf = AnswerShelf(store)
    kept, silent = (
        ("http://a.test/kept", "http://a.test/over"),
        ("http://b.test/1", "http://b.test/2"),
    )
    for url in (*kept, *silent):
        shelf.claim(url, NOW)
    for url, due in zip(kept, (30 * DAY, DAY), strict=True):
        shelf.keep(url, crl_der(ROOT), NOW, NOW + due)
    for url in (*silent, silent[1]):
        shelf.fail(url, NOW)
    later = NOW + 2 * DAY
    asked = [f"http://c.test/{number}" for number in range(3)]
    assert [shelf.claim(url, later) for url in asked] == [Claim.OURS, Claim.OURS, Claim.LATER]
    assert shelf.claim(asked[2], later + DAY) is Claim.OURS  # nobody answered the first two
    shelf.refresh()
    assert [shelf.kept(url) is not None for url in kept] == [True, True]
    for url in asked:
        shelf.keep(url, crl_der(ROOT), later, later + 30 * DAY)
    assert shelf.claim("http://c.test/4", later + 2 * DAY) is Claim.OURS  # nobody renews the second
    shelf.refresh()
    assert [shelf.kept(url) is not None for url in kept] == [True, False]


def test_an_answer_that_can_no_longer_be_read_is_none(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, b"nonsense", NOW, NOW + DAY)
    assert shelf.refresh() == 1
    assert shelf.lists(ALICE.certificate, ROOT.certificate) == []


def test_a_store_that_is_away_is_no_fault_of_the_mail(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    store.path.rename(store.path.with_name("away"))
    store.path.mkdir()
    assert shelf.refresh() == 0
    assert shelf.claim("http://a.test/", NOW) is Claim.LATER
    shelf.keep(URL, b"x", NOW, NOW)
    shelf.fail(URL, NOW)
    assert shelf.forget_old(NOW + 9 * KEPT) == 0
    assert len(shelf.lists(ALICE.certificate, ROOT.certificate)) == 1


def test_the_lists_of_the_built_in_authority_need_no_fetching(store: Store, act: Act) -> None:
    root = authority.create_authority("Own", NOW, 10, KEY, serial=1)
    issuer = authority.Issuer(root, KEY)
    stored_authority.init(store, act, issuer)
    shelf = AnswerShelf(store)
    alice = authority.issue(issuer, ALICE_HERE, KEY.public_key(), NOW, 30, serial=2)
    assert shelf.refresh() == 0
    assert standing(alice, root, shelf, NOW).status is Status.UNKNOWN
    revocation_lists.sign_due(store, NOW)
    version = shelf.version
    assert shelf.refresh() == 1
    assert shelf.version > version
    assert standing(alice, root, shelf, NOW).status is Status.GOOD
    assert shelf.refresh() == 0
    above = stored_authority.find(store)
    assert above is not None
    issued.record(store, act, above, ALICE_HERE, authority.KeyUses.BOTH, alice)
    issued.revoke(store, act, "2", Reason.KEY_COMPROMISE)
    assert shelf.refresh() == 1
    assert standing(alice, root, shelf, act.at + DAY / 24).status is Status.REVOKED


def own_root(store: Store, act: Act) -> tuple[authority.Issuer, Certificate]:
    issuer = authority.Issuer(authority.create_authority("Own", NOW, 10, KEY, serial=1), KEY)
    stored_authority.init(store, act, issuer)
    revocation_lists.sign_due(store, NOW)
    return issuer, authority.issue(issuer, ALICE_HERE, KEY.public_key(), NOW, 30, serial=2)


@pytest.mark.parametrize("name", ["own:1", "1"])
def test_nothing_fetched_takes_the_place_of_our_own_list(store: Store, act: Act, name: str) -> None:
    issuer, alice = own_root(store, act)
    shelf = AnswerShelf(store)
    shelf.claim(name, NOW)
    shelf.keep(name, crl_der(ROOT), NOW, NOW + DAY)
    shelf.refresh()
    assert standing(alice, issuer.certificate, shelf, NOW).status is Status.GOOD
    shelf.forget_old(NOW + 3 * KEPT)
    shelf.refresh()
    assert standing(alice, issuer.certificate, shelf, NOW).status is Status.GOOD


def test_our_own_list_is_looked_at_however_many_have_its_name(store: Store, act: Act) -> None:
    issuer, alice = own_root(store, act)
    shelf = AnswerShelf(store)
    named = issuer.certificate.x509().subject
    impostor = pki.certify(None, label="impostor", subject=named, ca=True, kind="p256")
    for number in range(MAX_LISTS + 1):
        url = f"http://lists.test/{number}"
        shelf.claim(url, NOW)
        shelf.keep(url, crl_der(impostor, number=number), NOW, NOW + DAY)
    shelf.refresh()
    revocation_lists.sign_due(store, NOW + 5 * DAY)
    shelf.refresh()
    at = NOW + 5 * DAY
    assert standing(alice, issuer.certificate, shelf, at).status is Status.GOOD


def test_our_own_list_that_is_damaged_is_none(store: Store, act: Act) -> None:
    issuer, alice = own_root(store, act)
    with store.noticing() as noticing:
        noticing.connection.execute(update(schema.authority).values(crl=b"nonsense"))
        noticing.written = True
    shelf = AnswerShelf(store)
    assert shelf.refresh() == 1
    assert shelf.refresh() == 0
    assert standing(alice, issuer.certificate, shelf, NOW).status is Status.UNKNOWN


def test_a_list_is_never_away_while_a_newer_one_comes(store: Store) -> None:
    shelf = AnswerShelf(store)
    shelf.claim(URL, NOW)
    shelf.keep(URL, crl_der(ROOT, ALICE), NOW, NOW + DAY)
    shelf.refresh()
    seen: list[int] = []

    class Watched(dict[str, Crl]):
        """Looks whenever something is taken out of it."""

        def __delitem__(self, name: str) -> None:
            super().__delitem__(name)
            seen.append(len(shelf.lists(ALICE.certificate, ROOT.certificate)))

    of_issuer = shelf._by_issuer[ROOT.certificate.subject_key]
    shelf._by_issuer[ROOT.certificate.subject_key] = Watched(of_issuer)
    shelf.keep(URL, crl_der(ROOT, ALICE, number=8), NOW + DAY, NOW + 2 * DAY)
    shelf.refresh()
    assert 0 not in seen
    (found,) = shelf.lists(ALICE.certificate, ROOT.certificate)
    assert found.number == 8
