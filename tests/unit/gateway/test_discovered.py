"""Findings as candidates for the choice of a key."""

from datetime import timedelta

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.association import Association, Matching, Selector, Usage
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.source import MinimumSource, Source
from smime_proxy.gateway.discovered import NOTHING, candidates, suffices, unreachable
from smime_proxy.gateway.ports import Answer, Findings, Silence
from smime_proxy.policy.lacking import Lack
from tests import pki
from tests.fakes import AT, FakeDirectory
from tests.unit.certs.answers import NOW, Known, crl

PAT = parse_mailbox("pat@example.org")
ROOT = pki.root("Gateway Root", kind="p256")
GOOD = pki.person(ROOT, PAT.text, kind="p256")
SELF = pki.person(None, PAT.text, kind="p256", label="self-made")


def said(*identities: pki.Identity, records: tuple[Association, ...] = ()) -> Findings:
    found = tuple(one.certificate for one in identities)
    until = AT + timedelta(hours=1)
    return Findings((Answer(PAT, "ldap:corp", AT, until, found, records),))


def directory() -> FakeDirectory:
    return FakeDirectory(roots=[Anchor(ROOT.certificate)])


def test_what_was_found_is_worth_what_our_anchors_say() -> None:
    found = candidates(said(GOOD, SELF), directory(), PAT, AT)
    assert {one.certificate: one.source for one in found} == {
        GOOD.certificate: Source.DIRECTORY,
        SELF.certificate: Source.DISCOVERED,
    }
    assert candidates(NOTHING, directory(), PAT, AT) == ()


def test_records_vouch_for_what_the_store_knows() -> None:
    known = directory()
    known.know(PAT.text, SELF)
    record = Association.of(SELF.certificate, Usage.DANE_EE, Selector.PUBLIC_KEY, Matching.SHA256)
    (one,) = candidates(said(records=(record,)), known, PAT, AT)
    assert (one.certificate, one.source) == (SELF.certificate, Source.SMIMEA)


def test_a_search_is_over_when_mail_could_be_encrypted() -> None:
    least, most = Lack(PAT, MinimumSource.DISCOVERED), Lack(PAT, MinimumSource.MANUAL)
    usual = Lack(PAT, MinimumSource.HARVESTED)
    assert suffices(said(GOOD), directory(), usual, AT)
    assert not suffices(said(SELF), directory(), usual, AT)
    assert suffices(said(SELF), directory(), least, AT)
    assert not suffices(said(GOOD), directory(), most, AT)
    assert not suffices(NOTHING, directory(), least, AT)


def test_a_certificate_known_to_be_revoked_does_not_end_a_search() -> None:
    known = Revocation(Mode.SOFT, Known([crl(ROOT, GOOD)]))
    lack = Lack(PAT, MinimumSource.VERIFIED)
    assert suffices(said(GOOD), directory(), lack, NOW)
    assert not suffices(said(GOOD), directory(), lack, NOW, known)


def test_who_gave_no_answer_is_named() -> None:
    silent = Findings((), (Silence("ldap:a", "gone"), Silence("smimea", "SERVFAIL")))
    assert unreachable(silent) == "ldap:a: gone; smimea: SERVFAIL"
    assert unreachable(NOTHING) == ""
