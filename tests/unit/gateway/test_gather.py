"""The facts of a mail: who it is from, what it asks, what protects it, who can read it."""

from dataclasses import replace

import pytest
from cryptography import x509

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.extensions import SMIME_CAPABILITIES
from smime_proxy.cms.capabilities import Capabilities, encode_capabilities
from smime_proxy.envelope import Role
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.gateway.gather import gather, lacking_field, own_account
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.message.errors import BadRequest
from smime_proxy.message.parse import parse
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.rules import ListenerRule
from smime_proxy.smime.classify import outline
from tests import pki
from tests.fakes import FakeKey, World, envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, TEAM, world
from tests.unit.smime.cases import clear, enveloped, message


def facts(
    content: bytes,
    *recipients: str,
    role: Role = Role.OUTBOUND,
    sender: str | None = ALICE,
    surroundings: World | None = None,
) -> Facts:
    entity = parse(content)
    return gather(
        envelope(content, sender, *recipients, role=role),
        entity,
        outline(entity),
        (surroundings or world()).directory,
        RecipientChoices(),
        (surroundings or world()).rules,
        may_report=True,
    )


def test_the_sender_is_the_account_of_the_one_clean_from() -> None:
    found = facts(mail(ALICE, STRANGER), STRANGER).sender
    assert found.mailbox == parse_mailbox(ALICE)
    assert found.account is not None
    assert found.entry is not None
    assert [item.address for item in found.named] == [found.mailbox]


@pytest.mark.parametrize(
    "sender", [f"{ALICE}, {STRANGER}", f'"{ALICE}" <{STRANGER}>', f"{STRANGER}\r\nFrom: {ALICE}"]
)
def test_e03_an_unclean_from_has_no_account_and_names_all(sender: str) -> None:
    """E03: nobody signs, and the policy of everyone it could mean holds."""
    found = facts(mail(sender, STRANGER), STRANGER).sender
    assert (found.mailbox, found.account, found.entry) == (None, None, None)
    assert found.problem
    assert [str(item.address) for item in found.named] == [ALICE]


def test_e75_a_tag_finds_policy_and_never_a_signature() -> None:
    """E75."""
    found = facts(mail("alice+x@example.test", STRANGER), STRANGER).sender
    assert (found.account, found.entry) == (None, None)
    assert [str(item.address) for item in found.named] == [ALICE]
    directory = world().directory
    tagged = own_account(directory, parse_mailbox("alice+a+b@example.test"))
    assert tagged is not None
    assert own_account(directory, parse_mailbox("+x@example.test")) is None
    assert own_account(directory, parse_mailbox('"team+x"@example.test')) is not None
    assert own_account(directory, parse_mailbox('"al ice+"@example.test')) is None


def test_why_there_is_no_key_is_said() -> None:
    surroundings = world()
    mailbox = parse_mailbox(ALICE)
    surroundings.directory.key_entries[mailbox] = []
    found = facts(mail(ALICE, STRANGER), STRANGER, surroundings=surroundings).sender
    assert (found.entry, found.key_problem) == (None, f"{ALICE}: no certificate")
    former = FakeKey(parties.party(), former=True)
    surroundings.directory.key_entries[mailbox] = [former]
    found = facts(mail(ALICE, STRANGER), STRANGER, surroundings=surroundings).sender
    assert "former key" in found.key_problem
    surroundings = world()
    surroundings.directory.unavailable.add(mailbox)
    found = facts(mail(ALICE, STRANGER), STRANGER, surroundings=surroundings).sender
    assert (found.entry, found.key_unavailable) == (None, True)


def test_recipients_are_known_visible_and_ours_or_not() -> None:
    content = mail(ALICE, PARTNER, more="Cc: Boss <boss@example.org>\r\n")
    found = facts(content, PARTNER, STRANGER, BOB, "boss@example.org").recipients
    assert [item.certificate is not None for item in found] == [True, False, True, False]
    assert [item.visible for item in found if item.certificate] == [True, False]
    assert [item.account is not None for item in found] == [False, False, True, False]
    assert [item.problem for item in found] == ["", "no certificate", "", "no certificate"]


def test_requests_and_meetings_are_read_outbound_only() -> None:
    content = mail(ALICE, BOB, subject="[encrypt] x", more="X-SMIME-Sign: yes\r\n")
    asked = facts(content, BOB).message
    assert (asked.asks_encrypt, asked.asks_sign, asked.asks_plain) == (True, True, False)
    inbound = facts(content, BOB, role=Role.INBOUND)
    assert (inbound.message.asks_encrypt, inbound.message.asks_sign) == (False, False)
    assert inbound.sender.account is None
    bad = mail(ALICE, BOB, more="X-SMIME-Sign: maybe\r\n")
    with pytest.raises(BadRequest):
        facts(bad, BOB)
    assert not facts(bad, BOB, role=Role.INBOUND).message.asks_sign
    ics = "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n"
    meeting = mail(ALICE, BOB, more="Content-Type: text/calendar\r\n", body=ics)
    assert facts(meeting, BOB).message.meeting == "REPLY"
    assert facts(meeting, BOB, role=Role.INBOUND).message.meeting == ""


def test_mail_opens_for_those_whose_key_it_names_but_never_for_a_team() -> None:
    """I6: a team's keys are not even asked for."""
    surroundings = world()
    surroundings.directory.unavailable.add(parse_mailbox(TEAM))
    content = message(enveloped(b"Content-Type: text/plain\r\n\r\nx", "alice", "team"))
    recipients = (ALICE, BOB, TEAM, "alice+x@example.test", "zoe@example.test")
    found = facts(content, *recipients, role=Role.INBOUND, surroundings=surroundings).recipients
    opened = [bool(item.openers) for item in found]
    assert opened == [True, False, False, True, False]
    surroundings.directory.unavailable.add(parse_mailbox(ALICE))
    with pytest.raises(KeyUnavailable):
        facts(content, ALICE, role=Role.INBOUND, surroundings=surroundings)


def test_what_protects_the_message_and_who_may_be_answered() -> None:
    """E68."""
    assert facts(message(clear()), BOB).message.signed
    assert facts(message(enveloped()), BOB).message.encrypted
    assert facts(mail(ALICE, BOB), BOB).message.answerable
    assert not facts(mail(ALICE, BOB), BOB, sender=None).message.answerable
    listed = mail(ALICE, BOB, more="Precedence: bulk\r\n")
    assert not facts(listed, BOB).message.answerable
    secret = mail(ALICE, BOB, more="Sensitivity: Company-Confidential\r\n")
    assert facts(secret, BOB).message.sensitive


def test_i5_what_only_says_that_it_is_encrypted_is_not_sealed() -> None:
    """I5."""
    label = enveloped() + b"=\r\nThe secret.\r\n"
    found = facts(message(label), PARTNER).message
    assert (found.signed, found.encrypted, found.sealed) == (True, True, False)
    found = facts(message(enveloped()), PARTNER).message
    assert (found.signed, found.encrypted, found.sealed) == (False, True, True)


def test_i5_text_among_the_header_fields_is_noticed_and_a_mailbox_line_passed_over() -> None:
    """I5."""
    plain = mail(ALICE, PARTNER)
    for content, loose in (
        (plain, False),
        (b"From alice Mon Jun  1 12:00:00 2026\r\n" + plain, False),
        (b" text\r\n" + plain, True),
        (plain.replace(b"\r\n\r\n", b"\r\ntext\r\n\r\n", 1), True),
    ):
        assert facts(content, PARTNER).message.loose_header is loose


def test_what_a_recipient_said_last_goes_before_what_his_certificate_says() -> None:
    """E85, RFC 4262."""
    said, certified = Capabilities((("1.2.3", b""),)), Capabilities((("1.2.4", b""),))
    extension = x509.UnrecognizedExtension(SMIME_CAPABILITIES, encode_capabilities(certified))
    surroundings = world()
    surroundings.directory.know("x@y.org", capable(extension))
    surroundings.directory.know("broken@y.org", capable(garbage(), "broken@y.org"))

    def read() -> list[Capabilities | None]:
        names = ("x@y.org", "broken@y.org", PARTNER, STRANGER)
        found = facts(mail(ALICE, *names), *names, surroundings=surroundings)
        return [item.capabilities for item in found.recipients]

    assert read() == [certified, None, None, None]
    for name in ("x@y.org", PARTNER, STRANGER):
        surroundings.directory.remembered[parse_mailbox(name)] = said
    assert read() == [said, None, said, None]


def test_our_own_accounts_are_not_believed_about_what_they_read() -> None:
    surroundings = world()
    said = Capabilities((("1.2.3", b""),))
    surroundings.directory.remembered[parse_mailbox(BOB)] = said
    (found,) = facts(mail(ALICE, BOB), BOB, surroundings=surroundings).recipients
    assert found.certificate is not None
    assert found.capabilities is None


def capable(extension: x509.UnrecognizedExtension, address: str = "x@y.org") -> pki.Identity:
    return pki.person(parties.root(), address, label="capable", extra=[(extension, False)])


def garbage() -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(SMIME_CAPABILITIES, b"\x30\x05\x00")


def test_what_ended_is_among_the_facts() -> None:
    surroundings = world()
    known = surroundings.directory
    known.partners.clear()
    expired = pki.person(parties.root(), PARTNER, not_after=pki.NOT_BEFORE.replace(year=2021))
    known.know(PARTNER, expired)
    (found,) = facts(mail(ALICE, PARTNER), PARTNER, surroundings=surroundings).recipients
    assert (found.certificate, found.lapsed) == (None, "its certificate expired on 2021-01-01")
    gate = pki.person(parties.root(), "gate@hub.net")
    known.know_domain("example.org", gate)
    known.remembered[parse_mailbox(PARTNER)] = Capabilities(())
    (found,) = facts(mail(ALICE, PARTNER), PARTNER, surroundings=surroundings).recipients
    assert found.certificate is not None
    assert found.certificate.certificate == gate.certificate
    assert found.lapsed == "its certificate expired on 2021-01-01"
    # What the person's own program reads says nothing of the gateway's.
    assert found.capabilities is None


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        ("X-Org: example.com\r\n", ""),
        ("x-org:  Example.COM \r\n", ""),
        ("X-Org: other.example\r\n", "X-Org"),
        ("X-Org: example.com.evil.example\r\n", "X-Org"),
        ("X-Org: other.example, example.com\r\n", "X-Org"),
        ("X-Org: example.com\r\nX-Org: other.example\r\n", "X-Org"),
        ("X-Org: example.com\r\nX-Org : other.example\r\n", "X-Org"),
        ("X-Org: example.com\r\nX-Org\r\n : other.example\r\n", "X-Org"),
        ("X-Org : example.com\r\n", "X-Org"),
        ("X-Org\r\n : example.com\r\n", "X-Org"),
        ("X-Org:\r\n example.com\r\n", ""),
        ("X-Org: example\r\n .com\r\n", "X-Org"),
        ("X-Org: example.com\x1f\r\n", "X-Org"),
        ("X-Org: example.com\xa0\r\n", "X-Org"),
        ("X-Org: =?utf-8?q?example.com?=\r\n", "X-Org"),
        ("X-Org: example.com (ours)\r\n", "X-Org"),
        ("X-Org-Not: example.com\r\n", "X-Org"),
        ("", "X-Org"),
    ],
)
def test_a_required_field_is_there_once_with_a_value_that_will_do(fields: str, lacks: str) -> None:
    """Row A03."""
    entity = parse(f"From: {ALICE}\r\n{fields}\r\nX-Org: example.com\r\n".encode())
    assert lacking_field(entity.header, {"X-Org": ("example.com",)}) == lacks
    assert lacking_field(entity.header, {}) == ""


def test_what_a_listener_requires_is_asked_of_its_mail() -> None:
    surroundings = world()
    name = envelope(b"", ALICE, STRANGER).session.listener
    rule = ListenerRule(require_header={"X-Org": ("example.com",)})
    surroundings.rules = replace(surroundings.rules, listeners={name: rule})
    found = facts(mail(ALICE, STRANGER), STRANGER, surroundings=surroundings)
    assert found.message.lacks_field == "X-Org"
    assert facts(mail(ALICE, STRANGER), STRANGER).message.lacks_field == ""
