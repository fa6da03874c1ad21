"""From octets to contents, or to the one reply that refuses them."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import MinimumSource
from smime_proxy.envelope import Role
from smime_proxy.gateway.choices import RecipientChoice, Remembered
from smime_proxy.gateway.ports import SeenCapabilities
from smime_proxy.gateway.work import Lacking, Refused, Work, make
from smime_proxy.message.parse import parse
from smime_proxy.policy.algorithms import ContentEncryption
from smime_proxy.policy.rules import (
    MAX_GROUPS,
    AfterDecryption,
    Encrypt,
    PartnerRule,
    Policy,
    Rules,
)
from smime_proxy.smime.classify import Protection, classify
from smime_proxy.smime.gateway_signer import GatewaySigner
from tests.fakes import FakeDiscovery, FakeMemory, World, envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, TEAM, partner, world
from tests.unit.smime.cases import PART, clear, enveloped, message, person


def refused(
    content: bytes, *to: str, surroundings: World | None = None, role: Role = Role.OUTBOUND
) -> tuple[int, str]:
    made = make((surroundings or world()).context(), envelope(content, ALICE, *to, role=role))
    assert isinstance(made, Refused), made
    assert made.rule
    return made.reply.code, made.reply.enhanced


def test_r29_a_loop_is_refused() -> None:
    """R29, E89."""
    looped = mail(ALICE, BOB, more="Received: x\r\n" * 51)
    for role in Role:
        assert refused(looped, BOB, role=role) == (554, "5.4.6")


def test_v28_what_is_beyond_the_limits_is_refused_and_not_crashed_on() -> None:
    """V28, E91."""
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary={number}\r\n\r\n--{number}\r\n"
        for number in range(60)
    )
    assert refused(message(deep.encode()), BOB) == (554, "5.6.0")
    assert refused(mail(ALICE, BOB, more="X: " + "y" * 300_000 + "\r\n"), BOB) == (554, "5.6.0")


def test_a_bad_request_and_a_key_that_cannot_be_loaded_have_their_replies() -> None:
    assert refused(mail(ALICE, BOB, more="X-SMIME-Sign: no\r\n"), BOB) == (550, "5.6.0")
    surroundings = world()
    surroundings.directory.unavailable.add(parse_mailbox(ALICE))
    assert refused(mail(ALICE, BOB), BOB, surroundings=surroundings) == (451, "4.7.5")
    sealed = message(enveloped())
    inbound = refused(sealed, ALICE, surroundings=surroundings, role=Role.INBOUND)
    assert inbound == (451, "4.7.5")


def test_v25_encrypted_mail_to_a_team_is_refused() -> None:
    """V25."""
    assert refused(message(enveloped()), TEAM, role=Role.INBOUND) == (550, "5.7.4")


def test_i5_what_cannot_be_encrypted_is_never_sent_otherwise() -> None:
    """I5: a certificate that turns out to be unfit when it is used."""
    surroundings = world(Policy(encrypt=Encrypt.WHEN_POSSIBLE))
    context = surroundings.context()
    unfit = PartnerCertificate(person(PARTNER, kind="ed25519").certificate, pinned=True)
    context.choices._state = (
        surroundings.directory,
        0,
        {
            (PARTNER, MinimumSource.HARVESTED): Remembered(
                envelope(b"", None).received_at,
                RecipientChoice(unfit),
            )
        },
    )
    made = make(context, envelope(mail(ALICE, PARTNER), ALICE, PARTNER))
    assert isinstance(made, Refused)
    assert (made.reply.code, made.rule) == (451, "protection failed")


def test_persons_who_open_to_the_same_octets_share_one_content() -> None:
    """I6: each by his own key."""
    content = message(enveloped(PART, "alice", "bob"))
    made = make(world().context(), envelope(content, STRANGER, ALICE, BOB, role=Role.INBOUND))
    assert isinstance(made, Work)
    (only,) = made.contents
    assert [str(item) for item in only.delivery.recipients] == [ALICE, BOB]
    content = message(enveloped(PART, "alice"))
    made = make(world().context(), envelope(content, STRANGER, ALICE, BOB, role=Role.INBOUND))
    assert isinstance(made, Work)
    opened, closed = made.contents
    assert [str(item) for item in opened.delivery.recipients] == [ALICE]
    assert b"Hello Bob" in opened.message
    assert b"Hello Bob" not in closed.message


def test_a_reader_shares_the_octets_of_whom_he_reads_for() -> None:
    """I6: in one transaction, where a stranger gets the ciphertext."""
    surroundings = read_by("deputy@example.net", BOB)
    content = message(enveloped(clear(), "alice"), more="Sensitivity: Personal\r\n")
    work = worked(
        surroundings, content, STRANGER, ALICE, "deputy@example.net", BOB, role=Role.INBOUND
    )
    opened, closed = work.contents
    assert set(map(str, opened.delivery.recipients)) == {ALICE, BOB, "deputy@example.net"}
    for field in (b"X-SMIME-Badge: green", b"X-SMIME-Lock: green", b"Sensitivity: Private"):
        assert field in opened.message
    assert work.verdicts == (("pass", "decrypted"), ("none", "undecryptable"))
    assert list(map(str, closed.delivery.recipients)) == [STRANGER]
    assert b"Hello Bob" not in closed.message
    alone = worked(surroundings, content, "deputy@example.net", role=Role.INBOUND)
    assert alone.contents[0].message == opened.message


def test_a_reader_of_mail_to_both_opens_it_with_either_key() -> None:
    content = message(enveloped(PART, "alice", "bob"))
    work = worked(read_by(BOB), content, ALICE, BOB, role=Role.INBOUND)
    (only,) = work.contents
    assert list(map(str, only.delivery.recipients)) == [ALICE, BOB]


def test_what_a_reader_answers_is_encrypted_or_refused() -> None:
    surroundings = read_by("deputy@example.test")
    surroundings.memory = FakeMemory()
    sealed = message(enveloped(PART, "alice"), PARTNER, "Message-ID: <1@x>\r\n")
    work = worked(surroundings, sealed, "deputy@example.test", role=Role.INBOUND)
    assert surroundings.memory.keys.is_marked(parse(work.contents[0].message).header)
    assert work.confidential == (b"1@x",)
    surroundings.memory.remember(work.confidential, envelope(b"", None).received_at)
    answer = mail("deputy@example.test", STRANGER, more="In-Reply-To: <1@x>\r\n")
    assert refused(answer, STRANGER, surroundings=surroundings) == (550, "5.7.5")
    sent = worked(surroundings, answer, PARTNER)
    assert classify(parse(sent.contents[0].message)) is Protection.ENVELOPED_DATA


def read_by(*readers: str) -> World:
    """Make a world in which others read for alice."""
    surroundings = world()
    named = frozenset(map(parse_mailbox, readers))
    surroundings.directory.add(ALICE, parties.party("rsa", "alice"), readers=named)
    return surroundings


@pytest.mark.parametrize("with_reports", [True, False])
def test_a_team_beside_a_person_is_reported_where_that_can_be_done(with_reports: bool) -> None:
    """V25: else the team gets the mail as it came."""
    surroundings = world()
    surroundings.with_reports = with_reports
    content = message(enveloped(PART, "alice", "team"))
    sealed = envelope(content, STRANGER, ALICE, TEAM, role=Role.INBOUND)
    made = make(surroundings.context(), sealed)
    assert isinstance(made, Work)
    assert len(made.plan.refused) == (1 if with_reports else 0)
    assert len(made.contents) == (1 if with_reports else 2)
    nobody = make(surroundings.context(), replace(sealed, reverse_path=None))
    assert isinstance(nobody, Work)
    assert nobody.plan.refused == ()
    person, team = sealed.forward_paths
    deaf = replace(sealed, forward_paths=(person, replace(team, parameters=("NOTIFY=NEVER",))))
    untold = make(surroundings.context(), deaf)
    assert isinstance(untold, Work)
    assert (untold.plan.refused, len(untold.contents)) == ((), 2)


def test_i15_not_all_copies_are_made_of_mail_that_needs_too_many() -> None:
    """I15: a thousand hidden recipients of a large message are no thousand large messages."""
    surroundings = world()
    found = surroundings.directory.partners[parse_mailbox(PARTNER)][0]
    hidden = [f"h{number}@example.org" for number in range(4 * MAX_GROUPS)]
    for address in hidden:
        mailbox = parse_mailbox(address)
        surroundings.directory.partners[mailbox] = [replace(found, bound_to=(mailbox,))]
    asked = surroundings.random
    drawn: list[int] = []

    def random(number: int) -> bytes:
        drawn.append(number)
        return asked(number)

    surroundings.random = random
    content = mail(ALICE, PARTNER)
    assert refused(content, *hidden, surroundings=surroundings) == (550, "5.5.3")
    assert 0 < len(drawn) < 4 * MAX_GROUPS


def test_i15_copies_that_are_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings = world()
    content = mail(ALICE, PARTNER, STRANGER, body="text\r\n" * 1000)
    made = make(surroundings.context(), envelope(content, ALICE, PARTNER, STRANGER))
    assert isinstance(made, Work)
    together = sum(len(one.message) for one in made.contents)
    limit = "smime_proxy.gateway.work.MAX_COPIES_OCTETS"
    monkeypatch.setattr(limit, together)
    made = make(surroundings.context(), envelope(content, ALICE, PARTNER, STRANGER))
    assert isinstance(made, Work)
    monkeypatch.setattr(limit, together - 1)
    assert refused(content, PARTNER, STRANGER, surroundings=surroundings) == (550, "5.5.3")
    monkeypatch.setattr(limit, 1)
    alone = mail(ALICE, STRANGER)
    made = make(surroundings.context(), envelope(alone, ALICE, STRANGER))
    assert isinstance(made, Work)


def seen(content: bytes, sender: str, to: str = BOB) -> SeenCapabilities | None:
    work = make(world().context(), envelope(content, sender, to, role=Role.INBOUND))
    assert isinstance(work, Work)
    return work.seen


def test_what_partners_read_is_remembered_and_what_our_own_read_is_not() -> None:
    signed = message(clear(identity=person("someone@y.org")), sender="someone@y.org")
    found = seen(signed, "someone@y.org")
    assert found is not None
    assert str(found.mailbox) == "someone@y.org"
    assert seen(message(clear()), ALICE) is None
    tagged = "alice+x@example.test"  # the same mailbox
    assert seen(message(clear(identity=person(tagged)), sender=tagged), tagged) is None
    assert seen(mail(ALICE, BOB), ALICE) is None


def test_recipients_with_different_algorithms_get_different_octets() -> None:
    surroundings = world()
    surroundings.directory.know("x@y.org", partner())
    surroundings.directory.partners[parse_mailbox("x@y.org")] = [
        replace(found, bound_to=(parse_mailbox("x@y.org"),))
        for found in surroundings.directory.partners[parse_mailbox("x@y.org")]
    ]
    gcm = PartnerRule(content_encryption=ContentEncryption.AES256_GCM)
    surroundings.rules = Rules(partners={"y.org": gcm})
    content = mail(ALICE, PARTNER, "x@y.org")
    made = make(surroundings.context(), envelope(content, ALICE, PARTNER, "x@y.org"))
    assert isinstance(made, Work)
    kinds = [classify(parse(one.message)) for one in made.contents]
    assert kinds == [Protection.ENVELOPED_DATA, Protection.AUTH_ENVELOPED_DATA]
    # Each is told of by the octets of its own only.
    assert [[str(name) for name in one.delivery.recipients] for one in made.contents] == [
        [PARTNER],
        ["x@y.org"],
    ]


def from_clerk(surroundings: World, *, trusted: bool) -> Work:
    """Receive mail of a clerk that the gateway of his domain signed."""
    gateway = GatewaySigner(parse_mailbox("gateway@firm.example"), trusted)
    surroundings.rules = replace(surroundings.rules, gateways={"firm.example": gateway})
    sealed = message(clear(identity=person("gateway@firm.example")), "clerk@firm.example")
    arrived = envelope(sealed, "clerk@firm.example", ALICE, role=Role.INBOUND)
    work = make(surroundings.context(), arrived)
    assert isinstance(work, Work)
    return work


@pytest.mark.parametrize(("trusted", "badge"), [(True, b"green"), (False, b"yellow")])
def test_nothing_is_learned_of_a_person_from_what_a_gateway_signed(
    trusted: bool, badge: bytes
) -> None:
    work = from_clerk(world(), trusted=trusted)
    assert b"via=gateway;\r\n\tsigner=gateway@firm.example" in work.contents[0].message
    assert b"X-SMIME-Badge: " + badge in work.contents[0].message
    assert work.seen is None


def test_a_gateway_does_not_speak_for_whose_own_certificate_we_know() -> None:
    surroundings = world()
    surroundings.directory.know("clerk@firm.example", person("clerk@firm.example"))
    shown = from_clerk(surroundings, trusted=True).contents[0].message
    assert b"identity=mismatch" in shown
    assert b"X-SMIME-Badge: yellow" in shown


def test_who_lacks_a_certificate_is_named_once_and_before_anything_is_made() -> None:
    surroundings = world()
    content = mail(ALICE, STRANGER, PARTNER)
    assert isinstance(make(surroundings.context(), envelope(content, ALICE, STRANGER)), Work)
    surroundings.discovery = FakeDiscovery()
    context, sent = surroundings.context(), envelope(content, ALICE, STRANGER, PARTNER, BOB)
    with pytest.raises(Lacking) as lacking:
        make(context, sent)
    assert [str(lack.mailbox) for lack in lacking.value.lacks] == [STRANGER]
    assert lacking.value.discovery is surroundings.discovery
    made = make(context, sent, {})
    assert isinstance(made, Work)
    unserved = envelope(mail(ALICE, "x@unserved.example"), ALICE, "x@unserved.example")
    assert isinstance(make(context, unserved), Work)


def remembering(policy: Policy | None = None) -> World:
    surroundings = world(policy)
    surroundings.memory = FakeMemory()
    return surroundings


def worked(surroundings: World, content: bytes, *to: str, role: Role = Role.OUTBOUND) -> Work:
    sender = ALICE if role is Role.OUTBOUND else PARTNER
    made = make(surroundings.context(), envelope(content, sender, *to, role=role))
    assert isinstance(made, Work), made
    return made


def test_what_is_decrypted_is_marked_and_its_message_id_is_to_be_remembered() -> None:
    surroundings = remembering()
    memory = surroundings.memory
    assert memory is not None
    sealed = message(enveloped(PART, "alice"), PARTNER, "Message-ID: <1@x>\r\n")
    work = worked(surroundings, sealed, ALICE, BOB, role=Role.INBOUND)
    opened, closed = (parse(one.message).header for one in work.contents)
    assert memory.keys.is_marked(opened)
    assert closed.find("x-smime-decrypted") == ()
    assert work.confidential == (b"1@x",)


def test_what_arrives_as_a_mark_is_removed_first() -> None:
    surroundings = remembering()
    memory = surroundings.memory
    assert memory is not None
    genuine = memory.keys.mark_of(parse(b"Message-ID: <1@x>\r\n\r\n").header)[1]
    more = f"Message-ID: <1@x>\r\nX-SMIME-Decrypted: {genuine}\r\n"
    for inbound in (message(PART, PARTNER, more), message(clear(), PARTNER, more)):
        work = worked(surroundings, inbound, ALICE, role=Role.INBOUND)
        assert b"X-SMIME-Decrypted" not in work.contents[0].message
        assert work.confidential == ()
    sealed = message(enveloped(PART, "alice"), PARTNER, f"{more}X-SMIME-Decrypted: forged\r\n")
    work = worked(surroundings, sealed, ALICE, role=Role.INBOUND)
    assert len(parse(work.contents[0].message).header.find("x-smime-decrypted")) == 1


@pytest.mark.parametrize("content", [PART, clear(), enveloped(PART, "bob")])
def test_what_is_not_decrypted_gets_no_mark_and_is_not_remembered(content: bytes) -> None:
    work = worked(remembering(), message(content, PARTNER), ALICE, role=Role.INBOUND)
    assert b"x-smime-decrypted" not in work.contents[0].message.lower()
    assert work.confidential == ()


def test_an_answer_is_encrypted_or_refused_and_remembered_itself() -> None:
    surroundings = remembering(Policy(encrypt=Encrypt.NEVER))
    assert surroundings.memory is not None
    surroundings.memory.known.add(b"secret@x")
    answer = mail(ALICE, PARTNER, more="References: <secret@x>\r\n")
    work = worked(surroundings, answer, PARTNER)
    assert classify(parse(work.contents[0].message)) is Protection.ENVELOPED_DATA
    assert work.confidential == (b"1@example.test",)
    refusal = make(surroundings.context(), envelope(answer, ALICE, STRANGER))
    assert isinstance(refusal, Refused)
    assert str(refusal.reply) == (
        f"550 5.7.5 {STRANGER}: no certificate, and the mail answers mail that came encrypted."
        " Ask for a signed mail, it brings a certificate; or ask the administrator about"
        " after_decryption."
    )
    assert refusal.rule == "after_decryption: policy.after_decryption, certificate missing"
    other = worked(surroundings, mail(ALICE, STRANGER), STRANGER)
    assert other.confidential == ()


def test_what_is_delivered_and_sent_on_is_known_again() -> None:
    """E13: a redirect, a forward as attachment and an answer, of the very octets delivered."""
    surroundings = remembering()
    sealed = message(enveloped(PART, "alice"), PARTNER, "Message-ID: <1@x>\r\n")
    delivered = worked(surroundings, sealed, ALICE, role=Role.INBOUND).contents[0].message
    attached = b"Content-Type: message/rfc822\r\n\r\n" + delivered
    for content in (delivered, message(attached, ALICE)):
        for sender in (None, PARTNER, ALICE):
            made = make(surroundings.context(), envelope(content, sender, STRANGER))
            assert isinstance(made, Refused)
            assert (made.reply.code, made.reply.enhanced) == (550, "5.7.5")
            assert "carries mail that came encrypted" in made.reply.text
    surroundings.rules = Rules(Policy(after_decryption=AfterDecryption.POLICY))
    redirected = worked(surroundings, delivered, STRANGER).contents[0].message
    assert b"X-SMIME" not in redirected
    assert b"Hello Bob" in redirected


def test_nobody_is_answered_while_it_cannot_be_told_what_was_decrypted() -> None:
    surroundings = remembering()
    assert surroundings.memory is not None
    surroundings.memory.broken = "the store cannot be used"
    assert refused(mail(ALICE, BOB), BOB, surroundings=surroundings) == (451, "4.3.0")
    surroundings.rules = Rules(Policy(after_decryption=AfterDecryption.POLICY))
    assert worked(surroundings, mail(ALICE, BOB), BOB).confidential == ()
