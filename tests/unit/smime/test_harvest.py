"""Which key a message offers: the signer's, or the one he names, and nobody else's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.cms import der, oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.smime import harvest
from smime_proxy.smime.harvest import MAX_NAMED, OfferedKey, offered_key
from smime_proxy.smime.verify import Trust
from tests import pki
from tests.unit.certs.answers import Known, crl
from tests.unit.cms import made, parties
from tests.unit.smime.cases import (
    ALICE,
    AT,
    BOB,
    PART,
    alice,
    clear,
    cms,
    compressed,
    enveloped,
    key,
    message,
    opaque,
    person,
    received,
    trust,
)

MAILBOX = parse_mailbox(ALICE)
SIGNS = ("digital_signature",)
ENCRYPTS = ("key_encipherment", "key_agreement")


def offered(content: bytes, *, trusting: Trust | None = None) -> OfferedKey | None:
    trusted = trusting or trust()
    report = received(content, key("bob"), key("alice"), trusting=trusted).report
    return offered_key(report, trusted, AT)


def signed(
    identity: pki.Identity,
    *bag: pki.Identity,
    more: Sequence[bytes] = (),
    part: bytes = PART,
) -> bytes:
    """Give a clear-signed entity with exactly these certificates and attributes."""
    attributes = [made.CONTENT_TYPE, made.message_digest(part), *more]
    fields = read_certificate(identity.der)
    info = made.signer_info(
        attributes,
        sid=fields.issuer_and_serial,
        key=identity.key,
    )
    raw = made.signed_data(info, certificates=tuple(one.der for one in (identity, *bag)))
    return clear(part, der=raw)


def preferring(identity: pki.Identity) -> bytes:
    value = b"\xa0" + read_certificate(identity.der).issuer_and_serial[1:]
    return made.attribute(oids.ENCRYPTION_KEY_PREFERENCE, value)


def taken(content: bytes, *, trusting: Trust | None = None) -> Certificate | None:
    found = offered(content, trusting=trusting)
    return None if found is None else found.certificate


def test_v2_the_signer_of_mail_that_passes_offers_his_certificate() -> None:
    """V2, V17."""
    root = parties.root().certificate
    expected = OfferedKey(MAILBOX, alice().certificate, (), root)
    for entity in (clear(), opaque(), enveloped(clear(), "bob"), compressed(clear())):
        assert offered(message(entity)) == expected


def test_only_the_issuers_on_the_way_are_kept() -> None:
    """E06."""
    issuing = pki.intermediate(parties.root(), kind="p256")
    leaf = pki.person(issuing, ALICE, kind="rsa")
    beside = pki.intermediate(parties.root(), "Another CA", kind="p256")
    authority = pki.Identity(leaf.chain[0], issuing.key)
    found = offered(message(signed(leaf, authority, beside, parties.root())))
    assert found is not None
    assert found.issuers == leaf.chain
    assert found.anchor == parties.root().certificate


@pytest.mark.parametrize(
    "content",
    [
        b"From: alice@example.test\r\n\r\nplain\r\n",
        message(clear(PART + b"x", der=made.signed_data())),
        message(clear(), sender=BOB),
        message(clear(), sender=f"{ALICE}, {BOB}"),
        message(enveloped(PART, "bob")),
        message(clear(enveloped(PART, "bob"))),
        message(cms(made.signed_data(certificates=(alice().der,)), "certs-only")),
        message(
            b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\n'
            + clear()
            + b"\r\n--m--\r\n"
        ),
        message(clear(at=AT - timedelta(days=2))),
    ],
    ids=[
        "unsigned",
        "nobody signed",
        "mismatch",
        "several in From",
        "encrypted",
        "around ciphertext",
        "certs-only",
        "part",
        "old",
    ],
)
def test_what_does_not_pass_offers_nothing(content: bytes) -> None:
    """E04, E64, V1-V18."""
    assert offered(content) is None
    assert offered(content, trusting=trust(pki.root("Nobody's", kind="p256"))) is None


def test_a_broken_or_revoked_signature_offers_nothing() -> None:
    altered = message(clear()).replace(b"Hello Bob", b"Hello Eve")
    assert offered(altered) is None
    assert offered(altered, trusting=trust(pki.root("Nobody's", kind="p256"))) is None


def test_e06_a_certificate_that_lies_beside_is_nobodys() -> None:
    """E06, CVE-2026-29140: whosever address it carries."""
    same, victim = person(ALICE, label="slipped in"), person(BOB)
    for order in ((same, victim), (victim, same)):
        assert taken(message(signed(alice(), *order))) == alice().certificate


def test_a_certificate_that_only_signs_offers_nothing_without_a_named_one() -> None:
    """E72."""
    signing = person(ALICE, usage=SIGNS, label="signs", kind="rsa")
    encrypting = person(ALICE, usage=ENCRYPTS, label="encrypts", kind="rsa")
    assert taken(message(signed(signing, encrypting))) is None
    named = message(signed(signing, encrypting, more=[preferring(encrypting)]))
    assert taken(named) == encrypting.certificate
    # What he names is not there.
    assert taken(message(signed(signing, more=[preferring(encrypting)]))) is None
    assert taken(message(signed(alice(), more=[preferring(encrypting)]))) == alice().certificate


@pytest.mark.parametrize(
    "named",
    [
        person(BOB, label="another"),
        pki.person(None, ALICE, label="alone", kind="rsa"),
        person(ALICE, usage=SIGNS, label="signs too", kind="rsa"),
        person(ALICE, label="over", not_after=AT - timedelta(days=1)),
        pki.person(pki.root("Other", kind="p256"), ALICE, label="other", kind="rsa"),
    ],
    ids=["another's", "self-signed", "signing only", "expired", "other root"],
)
def test_who_names_a_certificate_that_is_unfit_offers_none(named: pki.Identity) -> None:
    """E06: another person's above all."""
    assert offered(message(signed(alice(), named, more=[preferring(named)]))) is None


def test_who_names_a_revoked_certificate_offers_none() -> None:
    """V8: the signer's own still passes."""
    lost = person(ALICE, usage=ENCRYPTS, label="lost", kind="rsa")
    content = message(signed(alice(), lost, more=[preferring(lost)]))
    assert taken(content) == lost.certificate
    answers = Known([crl(parties.root(), lost)])
    known = replace(trust(), revocation=Revocation(Mode.SOFT, answers))
    assert received(content, trusting=known).report.signature == "pass"
    assert taken(content, trusting=known) is None


def test_issuer_and_serial_are_no_proof() -> None:
    """A forged certificate that answers to the name keeps nobody's own away, and is not taken."""
    mine = alice()
    twin = pki.person(
        pki.root("Test Root", kind="p256"), ALICE, serial=mine.certificate.serial, label="twin"
    )
    assert taken(message(signed(mine, twin, more=[preferring(mine)]))) == mine.certificate
    raw = made.signed_data(
        made.signer_info(
            [made.CONTENT_TYPE, made.message_digest(PART), preferring(mine)],
        ),
        certificates=(twin.der, mine.der),
    )
    assert taken(message(clear(der=raw))) == mine.certificate


def test_of_many_that_answer_to_a_name_a_few_are_looked_at() -> None:
    """Each costs a search for a way to a root."""
    mine, twins = alice(), []
    for number in range(MAX_NAMED):
        forger = pki.root("Test Root", kind="p256", label=f"twins {number}")
        twins.append(pki.person(forger, ALICE, serial=mine.certificate.serial, label="twin"))
    info = made.signer_info([made.CONTENT_TYPE, made.message_digest(PART), preferring(mine)])
    bag = tuple(one.der for one in (*twins, mine))
    raw = made.signed_data(info, certificates=bag)
    assert received(message(clear(der=raw))).report.signature == "pass"
    assert taken(message(clear(der=raw))) is None
    raw = made.signed_data(info, certificates=bag[1:])
    assert taken(message(clear(der=raw))) == mine.certificate


def test_what_is_not_signed_names_nobody() -> None:
    encrypting = person(ALICE, usage=ENCRYPTS, label="encrypts", kind="rsa")
    info = made.signer_info(
        [made.CONTENT_TYPE, made.message_digest(PART)],
        unsigned=der.element(0xA1, preferring(encrypting)),
    )
    raw = made.signed_data(info, certificates=(alice().der, encrypting.der))
    assert taken(message(clear(der=raw))) == alice().certificate


def test_a13_merely_untrusted_offers_the_signers_own_as_untrusted() -> None:
    """A13, V6: an administrator may decide about it."""
    alone = pki.person(None, ALICE, label="alone", kind="rsa")
    assert offered(message(signed(alone))) == OfferedKey(MAILBOX, alone.certificate)
    wrong = pki.person(pki.root("Test Root", kind="p256"), ALICE, label="wrong", kind="rsa")
    assert offered(message(signed(wrong))) == OfferedKey(MAILBOX, wrong.certificate)
    sealed = message(enveloped(signed(alone), "bob"))
    assert offered(sealed) == OfferedKey(MAILBOX, alone.certificate)


def untrusted(**declared: object) -> pki.Identity:
    return pki.person(None, ALICE, **{"label": "alone", "kind": "rsa", **declared})


@pytest.mark.parametrize(
    "content",
    [
        message(signed(untrusted()), sender=BOB),
        message(signed(untrusted(), more=[preferring(person(BOB))])),
        message(signed(untrusted(), person(BOB), more=[preferring(person(BOB))])),
        message(signed(untrusted(kind="rsa1024", label="weak"))),
        message(signed(untrusted(usage=SIGNS))),
        message(signed(untrusted(usage=ENCRYPTS))),
        message(signed(untrusted(not_after=AT - timedelta(days=1)))),
        message(signed(untrusted(not_before=AT + timedelta(days=1)))),
        message(signed(untrusted(), part=enveloped(PART, "bob"))),
        message(signed(untrusted(), part=opaque())),
        message(signed(untrusted(), part=cms(b"nothing", "signed-data"))),
        message(signed(untrusted()).replace(b"Hello Bob", b"Hello Eve")),
    ],
    ids=[
        "mismatch",
        "names another's",
        "brings another's",
        "weak",
        "signs only",
        "encrypts only",
        "expired",
        "future",
        "around ciphertext",
        "two signatures",
        "malformed inside",
        "broken",
    ],
)
def test_untrusted_and_anything_else_amiss_offers_nothing(content: bytes) -> None:
    assert offered(content) is None


def test_what_a_header_says_against_the_signed_one_keeps_an_untrusted_key_out() -> None:
    part = (
        b"From: someone@else.example\r\nSubject: Hello\r\n"
        b'Content-Type: text/plain; hp="clear"\r\n\r\nHello\r\n'
    )
    content = message(signed(untrusted(), part=part))
    assert received(content).report.doubt
    assert offered(content) is None


def test_one_that_is_trusted_as_itself_vouches_for_no_other_address() -> None:
    alone = untrusted()
    pinned = Trust([Anchor(alone.certificate, pinned=True)], (), lambda _i, _s: ())
    assert offered(message(signed(alone)), trusting=pinned) == OfferedKey(
        MAILBOX, alone.certificate
    )


@pytest.mark.parametrize("limit", ["MAX_KEPT_OCTETS", "MAX_CHAIN_OCTETS"])
def test_what_is_too_large_to_be_kept_is_not_offered(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuing = pki.intermediate(parties.root(), kind="p256")
    leaf = pki.person(issuing, ALICE, kind="rsa")
    content = message(signed(leaf, pki.Identity(leaf.chain[0], issuing.key)))
    size = len(leaf.der) if limit == "MAX_KEPT_OCTETS" else len(leaf.chain[0].der)
    monkeypatch.setattr(harvest, limit, size)
    assert offered(content) is not None
    monkeypatch.setattr(harvest, limit, size - 1)
    assert offered(content) is None
