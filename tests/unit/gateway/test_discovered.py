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
from smime_proxy.message.parse import parse
from smime_proxy.policy.lacking import Lack
from smime_proxy.policy.rules import Encrypt, Policy
from smime_proxy.smime.classify import Protection, classify
from tests import pki
from tests.fakes import AT, FakeDirectory, FakeDiscovery, World, mail
from tests.unit.certs.answers import NOW, Known, crl
from tests.unit.cms import parties
from tests.unit.gateway import cases

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


def looked_up(policy: Policy, findings: Findings) -> World:
    surroundings = cases.world(policy)
    surroundings.discovery = FakeDiscovery({parse_mailbox(cases.STRANGER): findings})
    return surroundings


async def test_a_certificate_found_outside_is_encrypted_to() -> None:
    identity = pki.person(parties.root(), cases.STRANGER)
    answer = Answer(parse_mailbox(cases.STRANGER), "ldap:corp", AT, AT, (identity.certificate,))
    surroundings = looked_up(Policy(encrypt=Encrypt.REQUIRED), Findings((answer,)))
    reply = await cases.send(
        surroundings, mail(cases.ALICE, cases.STRANGER), cases.ALICE, cases.STRANGER
    )
    assert reply.code == 250
    (sent,) = surroundings.outside.sent
    assert classify(parse(sent.content)) is Protection.ENVELOPED_DATA


async def test_a_directory_that_is_away_means_later_and_never_clear() -> None:
    silent = Findings((), (Silence("ldap:corp", "it cannot be reached"),))
    asks = mail(cases.ALICE, cases.STRANGER, more="X-SMIME-Encrypt: yes\r\n")
    required = looked_up(Policy(encrypt=Encrypt.REQUIRED), silent)
    for surroundings, content in (
        (required, mail(cases.ALICE, cases.STRANGER)),
        (looked_up(Policy(), silent), asks),
    ):
        reply = await cases.send(surroundings, content, cases.ALICE, cases.STRANGER, cases.PARTNER)
        assert (reply.code, reply.enhanced) == (451, "4.4.3")
        assert f"{cases.STRANGER}: ldap:corp: it cannot be reached" in reply.text
        assert surroundings.outside.sent == []


async def test_what_is_only_possible_goes_as_policy_says_and_is_counted() -> None:
    silent = Findings((), (Silence("ldap:corp", "it cannot be reached"),))
    surroundings = looked_up(Policy(), silent)
    assert (
        await cases.send(
            surroundings, mail(cases.ALICE, cases.STRANGER), cases.ALICE, cases.STRANGER
        )
    ).code == 250
    assert classify(parse(surroundings.outside.sent[0].content)) is Protection.CLEAR_SIGNED
    labels = {"kind": "directory unreachable", "mode": "enforce"}
    assert ("exemptions", labels) in surroundings.measures.counted


async def test_who_is_known_is_not_looked_for() -> None:
    surroundings = looked_up(Policy(), Findings())
    await cases.send(
        surroundings,
        mail(cases.ALICE, cases.PARTNER, cases.BOB),
        cases.ALICE,
        cases.PARTNER,
        cases.BOB,
    )
    assert surroundings.discovery is not None
    assert surroundings.discovery.asked == []


async def test_a_renewed_certificate_found_outside_ends_the_lapse() -> None:
    surroundings = looked_up(Policy(), Findings())
    expired = pki.person(
        parties.root(), cases.STRANGER, not_after=pki.NOT_BEFORE.replace(year=2021)
    )
    surroundings.directory.know(cases.STRANGER, expired)
    content = mail(cases.ALICE, cases.STRANGER)
    reply = await cases.send(surroundings, content, cases.ALICE, cases.STRANGER)
    assert (reply.code, reply.enhanced) == (550, "5.7.5")
    renewed = pki.person(parties.root(), cases.STRANGER)
    answer = Answer(parse_mailbox(cases.STRANGER), "ldap:corp", AT, AT, (renewed.certificate,))
    assert surroundings.discovery is not None
    surroundings.discovery.findings[parse_mailbox(cases.STRANGER)] = Findings((answer,))
    assert (await cases.send(surroundings, content, cases.ALICE, cases.STRANGER)).code == 250
    (sent,) = surroundings.outside.sent
    assert classify(parse(sent.content)) is Protection.ENVELOPED_DATA
