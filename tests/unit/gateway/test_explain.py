"""What `explain` says is what the mail path does."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import MinimumSource, Source
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.envelope import Role
from smime_proxy.gateway.explain import THE_MESSAGE, explain, to_look_up
from smime_proxy.gateway.ports import Answer, Findings, Silence
from smime_proxy.policy.algorithms import HeaderProtection, Signature
from smime_proxy.policy.rules import (
    MAX_GROUPS,
    Encrypt,
    Internal,
    OnMissingCertificate,
    PartnerRule,
    Policy,
    Rules,
)
from tests import pki
from tests.fakes import AT, FakeDiscovery, FakeMemory, envelope, mail
from tests.pki import NOT_BEFORE, person
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, partner, world
from tests.unit.smime.cases import clear, enveloped, message

BOTH = envelope(mail(ALICE, PARTNER, STRANGER), ALICE, PARTNER, STRANGER)
SIGNER = parties.party().certificate.fingerprint


def test_each_recipient_has_action_rule_group_and_certificates() -> None:
    surroundings = world()
    told = explain(surroundings.context(), BOTH)
    rows = {row.recipient: row for row in told.recipients}
    sealed, clear = rows[PARTNER], rows[STRANGER]
    assert (sealed.action, sealed.rule) == ("sign+encrypt", "encrypt: policy.encrypt")
    assert sealed.certificates == (SIGNER, partner().certificate.fingerprint)
    assert (clear.action, clear.rule) == ("sign", "sign: policy.sign")
    assert (clear.certificates, clear.problem) == ((SIGNER,), "no certificate")
    assert {sealed.group, clear.group} == {1, 2}
    assert told.sources["encrypt"] == "policy.encrypt"
    assert surroundings.outside.opened == 0


def test_a_refusal_names_its_reply_for_everyone_or_for_some() -> None:
    required = explain(world(Policy(encrypt=Encrypt.REQUIRED)).context(), BOTH)
    assert {row.action for row in required.recipients} == {"refuse"}
    assert all(row.reply.startswith("550 5.7.5 stranger") for row in required.recipients)
    those = Policy(
        encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
    )
    some = explain(world(those).context(), BOTH)
    assert [(row.recipient, row.action, row.group) for row in some.recipients] == [
        (PARTNER, "sign+encrypt", 1),
        (STRANGER, "refuse", 0),
    ]


@pytest.mark.parametrize(
    ("content", "rule", "reply"),
    [
        (mail(ALICE, STRANGER, more="X-SMIME-Sign: no\r\n"), "bad request", "550 5.6.0"),
        (mail(ALICE, STRANGER, more="X: " + "y" * 300_000 + "\r\n"), "malformed", "554 5.6.0"),
        (mail(ALICE, STRANGER), "signing key unavailable", "451 4.7.5"),
    ],
)
def test_what_the_mail_path_refuses_is_no_traceback(content: bytes, rule: str, reply: str) -> None:
    surroundings = world()
    surroundings.directory.unavailable.add(parse_mailbox(ALICE))
    (row,) = explain(surroundings.context(), envelope(content, ALICE, STRANGER)).recipients
    assert (row.action, row.rule, row.reply[:9]) == ("refuse", rule, reply)


def test_an_exemption_is_told() -> None:
    body = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    meeting = mail(ALICE, PARTNER, more="Content-Type: text/calendar\r\n", body=body)
    told = explain(world().context(), envelope(meeting, ALICE, PARTNER))
    assert told.exemptions == ("meeting",)
    assert told.recipients[0].action == "relay"


def test_each_recipient_is_told_his_algorithms_and_where_they_come_from() -> None:
    surroundings = world()
    partner_rule = PartnerRule(signature=Signature.RSASSA_PSS, opaque=True)
    surroundings.rules = Rules(partners={"partner@example.org": partner_rule})
    reads = Capabilities((("2.16.840.1.101.3.4.1.46", b""),))
    surroundings.directory.remembered[parse_mailbox(PARTNER)] = reads
    rows = {row.recipient: row for row in explain(surroundings.context(), BOTH).recipients}
    assert rows[PARTNER].algorithms == {
        "signature": "rsassa_pss",
        "opaque": "yes",
        "content_encryption": "aes256_gcm",
        "key_transport": "rsaes_pkcs1v15",
        "header_protection": "off",
    }
    assert rows[PARTNER].sources == {
        "signature": 'partners."partner@example.org".signature',
        "opaque": 'partners."partner@example.org".opaque',
        "content_encryption": "capabilities",
        "key_transport": "policy.key_transport",
        "header_protection": "policy.header_protection",
    }
    assert (rows[PARTNER].reads, rows[STRANGER].reads) == (("aes256_gcm",), ())
    assert rows[STRANGER].algorithms == {
        "signature": "rsassa_pkcs1v15",
        "opaque": "no",
        "header_protection": "off",
    }
    assert set(rows[STRANGER].sources) == set(rows[STRANGER].algorithms)


def test_more_copies_than_a_message_may_have_are_told_as_the_refusal_they_end_in() -> None:
    addresses = [f"hidden{number}@example.org" for number in range(MAX_GROUPS + 1)]
    surroundings = world()
    (known,) = surroundings.directory.partners[parse_mailbox(PARTNER)]
    for mailbox in map(parse_mailbox, addresses):
        surroundings.directory.partners[mailbox] = [replace(known, bound_to=(mailbox,))]
    hidden = envelope(mail(ALICE, STRANGER), ALICE, *addresses)
    rows = explain(surroundings.context(), hidden).recipients
    assert {(row.action, row.rule, row.group) for row in rows} == {("refuse", "too many groups", 0)}
    assert all(row.reply.startswith(f"550 5.5.3 more than {MAX_GROUPS} copies") for row in rows)
    fewer = envelope(mail(ALICE, STRANGER), ALICE, *addresses[1:])
    rows = explain(surroundings.context(), fewer).recipients
    assert [row.group for row in rows] == list(range(1, MAX_GROUPS + 1))


def test_what_is_relayed_has_no_algorithms() -> None:
    told = explain(world().context(), envelope(mail(STRANGER, PARTNER), STRANGER, PARTNER))
    assert (told.recipients[0].action, told.recipients[0].algorithms) == ("relay", {})


def test_what_is_otherwise_than_set_comes_from_the_message() -> None:
    surroundings = world(Policy(header_protection=HeaderProtection.BASELINE))
    signed = message(clear())
    (row,) = explain(surroundings.context(), envelope(signed, ALICE, PARTNER)).recipients
    assert (row.action, row.algorithms["header_protection"]) == ("encrypt", "off")
    assert row.sources["header_protection"] == THE_MESSAGE
    assert row.sources["content_encryption"] == "policy.content_encryption"


def test_the_source_of_a_certificate_is_told_and_what_keeps_a_lesser_one_out() -> None:
    surroundings, mailbox = world(), parse_mailbox(PARTNER)
    found = PartnerCertificate(partner().certificate, partner().chain, source=Source.HARVESTED)
    surroundings.directory.partners[mailbox] = [found]
    one = envelope(mail(ALICE, PARTNER), ALICE, PARTNER)
    told = explain(surroundings.context(), one)
    assert told.recipients[0].certificate_source == "harvested"
    assert told.sources["minimum_source"] == "policy.minimum_source"
    assert "minimum_source" not in told.recipients[0].sources
    rule = PartnerRule(minimum_source=MinimumSource.VERIFIED)
    surroundings.rules = Rules(partners={"example.org": rule})
    (row,) = explain(surroundings.context(), one).recipients
    assert (row.action, row.certificate_source) == ("sign", "")
    assert row.problem == "harvested, and minimum_source is verified"
    assert row.sources["minimum_source"] == 'partners."example.org".minimum_source'


def test_the_certificate_of_an_own_account_has_no_source() -> None:
    inside = world(Policy(internal=Internal.ENCRYPT))
    (row,) = explain(inside.context(), envelope(mail(ALICE, BOB), ALICE, BOB)).recipients
    assert (row.action, row.certificate_source) == ("sign+encrypt", "")


def test_what_ended_and_what_stands_in_for_it_is_told() -> None:
    surroundings = world()
    known = surroundings.directory
    known.partners.clear()
    expired = person(parties.root(), PARTNER, not_after=NOT_BEFORE.replace(year=2021))
    known.know(PARTNER, expired)
    to_partner = envelope(mail(ALICE, PARTNER), ALICE, PARTNER)
    (row,) = explain(surroundings.context(), to_partner).recipients
    assert (row.action, row.rule) == (
        "refuse",
        "on_lapsed_certificate: policy.on_lapsed_certificate",
    )
    assert row.reply.startswith(f"550 5.7.5 {PARTNER}: its certificate expired on 2021-01-01. ")
    gate = person(parties.root(), "gate@hub.net")
    known.know_domain("example.org", gate)
    told = explain(surroundings.context(), to_partner)
    (row,) = told.recipients
    ended = "its certificate expired on 2021-01-01"
    assert row.action == "sign+encrypt"
    assert row.certificates[-1] == gate.certificate.fingerprint
    assert row.problem == f"{ended}; encrypted to the certificate of example.org"
    assert told.exemptions == (f"domain certificate: {PARTNER}: {ended}",)


def test_who_would_be_looked_up_is_said_and_nobody_is_asked() -> None:
    surroundings = world()
    surroundings.discovery = FakeDiscovery(sources=("ldap:corp", "smimea"))
    told = explain(surroundings.context(), BOTH)
    assert {row.recipient: row.lookups for row in told.recipients} == {
        PARTNER: (),
        STRANGER: ("ldap:corp", "smimea"),
    }
    assert surroundings.discovery.asked == []
    (lack,) = to_look_up(surroundings.context(), BOTH)
    assert str(lack.mailbox) == STRANGER
    assert to_look_up(surroundings.context(), replace(BOTH, content=b"no header")) == ()


def test_what_was_found_is_explained_as_the_mail_path_would_use_it() -> None:
    surroundings = world(Policy(encrypt=Encrypt.REQUIRED))
    surroundings.discovery = FakeDiscovery()
    mailbox = parse_mailbox(STRANGER)
    identity = pki.person(parties.root(), STRANGER)
    answer = Answer(mailbox, "ldap:corp", AT, AT, (identity.certificate,))
    told = explain(surroundings.context(), BOTH, {mailbox: Findings((answer,))})
    row = next(row for row in told.recipients if row.recipient == STRANGER)
    assert (row.action, row.certificate_source) == ("sign+encrypt", "directory-verified")
    assert row.lookups == ()
    silent = {mailbox: Findings((), (Silence("ldap:corp", "it cannot be reached"),))}
    told = explain(surroundings.context(), BOTH, silent)
    assert {row.reply.partition(" stranger")[0] for row in told.recipients} == {"451 4.4.3"}


def test_an_answer_to_decrypted_mail_is_told_with_the_table_that_says_so() -> None:
    surroundings = world()
    surroundings.memory = FakeMemory(known={b"secret@x"})
    answer = mail(ALICE, PARTNER, STRANGER, more="In-Reply-To: <secret@x>\r\n")
    one = envelope(answer, ALICE, PARTNER)
    (row,) = explain(surroundings.context(), one).recipients
    assert (row.action, row.rule) == ("sign+encrypt", "after_decryption: policy.after_decryption")
    told = explain(surroundings.context(), envelope(answer, ALICE, PARTNER, STRANGER))
    assert told.sources["after_decryption"] == "policy.after_decryption"
    assert {row.action for row in told.recipients} == {"refuse"}
    assert told.recipients[0].rule.startswith("after_decryption: policy.after_decryption")
    surroundings.memory.broken = "the store cannot be used"
    (row,) = explain(surroundings.context(), one).recipients
    assert (row.action, row.rule) == ("refuse", "memory unreadable")
    assert row.reply.startswith("451 4.3.0")
    assert to_look_up(surroundings.context(), one) == ()


def test_it_is_said_whose_keys_open_a_mail_for_whom() -> None:
    surroundings = world()
    named = frozenset({parse_mailbox(BOB)})
    surroundings.directory.add(ALICE, parties.party("rsa", "alice"), readers=named)
    sealed = message(enveloped(b"Content-Type: text/plain\r\n\r\nx", "alice"))
    arrived = envelope(sealed, PARTNER, ALICE, BOB, STRANGER, role=Role.INBOUND)
    told = {row.recipient: row for row in explain(surroundings.context(), arrived).recipients}
    assert {name: (row.action, row.rule, row.opened_with) for name, row in told.items()} == {
        ALICE: ("decrypt", "encrypted to the account", (ALICE,)),
        BOB: ("decrypt", "encrypted to an account he reads for", (ALICE,)),
        STRANGER: ("verify", "no key of the recipient", ()),
    }
