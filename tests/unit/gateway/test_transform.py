"""Treatments carried out on octets: what stays, what goes, what is made."""

from dataclasses import replace
from datetime import timedelta

from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.envelope import Role
from smime_proxy.gateway.transform import Material, Transform
from smime_proxy.gateway.work import Work, make
from smime_proxy.message.parse import parse
from smime_proxy.message.requests import DEFAULT_WORDS
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.plan import (
    Decrypt,
    Encrypt,
    Encryption,
    EncryptionRecipient,
    Relay,
    SentCopy,
    Sign,
    SignatureForm,
    SigningKey,
    SignThenEncrypt,
    Verify,
)
from smime_proxy.policy.rules import Policy
from smime_proxy.smime.classify import Protection, classify, cms_octets
from smime_proxy.smime.unwrap import Unwrap
from tests import pki
from tests.fakes import FakeKey, Octets, World, envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, world
from tests.unit.policy.cases import ALICE as ACCOUNT
from tests.unit.policy.cases import BOB as OTHER
from tests.unit.smime.cases import (
    AT,
    PART,
    clear,
    enveloped,
    key,
    message,
    opaque,
    received,
    signer_of,
    trust,
    weakly_signed,
)

KEY = SigningKey(ACCOUNT, FakeKey(parties.party()))
ASKS = mail(
    ALICE,
    BOB,
    subject="Re: [sign] Hello",
    more=f"X-SMIME-Sign: yes\r\nX-SMIME-Badge: green\r\nBcc: {STRANGER}\r\nResent-Bcc: x@y.org\r\n",
)


def transform(
    content: bytes, role: Role = Role.OUTBOUND, unwrap: frozenset[Unwrap] = frozenset()
) -> Transform:
    return Transform(
        Material(
            envelope(content, ALICE, BOB, role=role),
            parse(content),
            DEFAULT_WORDS,
            "proxy.example.test",
            trust(),
            lambda _key: signer_of(parties.party()),
            lambda _account: (key(),),
            Octets(),
            unwrap,
        )
    )


def made(content: bytes, *to: str, surroundings: World | None = None) -> Work:
    work = make((surroundings or world()).context(), envelope(content, ALICE, *to))
    assert isinstance(work, Work)
    return work


def test_a_relayed_message_loses_our_fields_and_with_requests_its_words() -> None:
    unchanged = mail(ALICE, BOB)
    assert transform(unchanged).content(Relay(requests=True)) == unchanged
    own = b"X-SMIME-Sign: yes\r\nX-SMIME-Badge: green\r\n"
    kept = ASKS.replace(own, b"")
    assert transform(ASKS).content(Relay()) == kept
    assert transform(ASKS).content(Relay(requests=True)) == kept.replace(b"[sign] ", b"")


def test_e08_inbound_relays_lose_results_in_our_name() -> None:
    """E08."""
    forged = b"Authentication-Results: Proxy.example.test;\r\n smime=pass\r\n"
    other = b"Authentication-Results: mx; spf=pass\r\n"
    content = mail(ALICE, BOB)
    arrived = forged + other + b"X-SMIME-Lock: green\r\n" + content
    assert transform(arrived, Role.INBOUND).content(Relay()) == other + content
    # What leaves is none of our business: others may have said it in good faith.
    assert transform(forged + content).content(Relay()) == forged + content


def test_e08_an_inbound_relay_closes_a_header_below_which_our_fields_are_forged() -> None:
    """E08: a line that is no field, and no empty line: some readers would read on."""
    top, forged = b"From: a@example.org\r\n", b"loose\r\nX-SMIME-Badge: green\r\n"
    assert transform(top + forged, Role.INBOUND).content(Relay()) == top + b"\r\n" + forged
    assert transform(top + forged).content(Relay()) == top + forged


def test_e35_a_signed_message_keeps_its_header_but_blind_fields_and_requests() -> None:
    """E35, E20."""
    out = transform(ASKS).content(Sign(KEY))
    header = parse(out).header
    assert header.first("subject") == "Re: Hello"
    assert not header.find("bcc")
    assert not header.find("resent-bcc")
    assert not header.starting("x-smime-")
    assert STRANGER.encode() not in out
    assert header.first("message-id") == "<1@example.test>"
    assert len(header.find("content-type")) == len(header.find("mime-version")) == 1
    assert received(out).report.signature == "pass"


def test_a_signature_is_made_once_for_all_groups_that_need_it() -> None:
    once = transform(ASKS)
    assert once.content(Sign(KEY)) == once.content(Sign(KEY))
    assert once.sent_copy(SentCopy(ACCOUNT, "x", KEY)).endswith(
        once.content(Sign(KEY)).partition(b"Content-Type: multipart/signed")[2]
    )


def test_e33_what_the_client_signed_is_encrypted_as_it_is() -> None:
    """E33."""
    content = message(clear(), more="Bcc: x@y.org\r\n")
    (only,) = made(content, PARTNER).contents
    sealed = parse(only.message)
    assert classify(sealed) is Protection.ENVELOPED_DATA
    assert b"Bcc:" not in only.message
    copies = world(Policy(sent_copy="maildir:///x"))
    copy = made(content, PARTNER, surroundings=copies).sent_copy
    assert copy is not None
    assert copy.endswith(clear())
    assert copy.startswith(b"X-SMIME-Copy: sent\r\nSensitivity: Private\r\n")


def test_a_copy_without_a_key_is_unsigned() -> None:
    copy = transform(ASKS).sent_copy(SentCopy(ACCOUNT, "x", None))
    assert classify(parse(copy)) is Protection.NONE
    assert copy.endswith(b"\r\n\r\ntext\r\n")
    assert b"Subject: Re: Hello\r\n" in copy


def test_i5_the_line_of_a_mailbox_file_stays_outside_no_encryption() -> None:
    """I5: it is no field, and may say anything."""
    bob = EncryptionRecipient(PartnerCertificate(parties.party("rsa", "bob").certificate))
    sealed = Encrypt(Encryption((bob,)))
    for treatment in (sealed, replace(sealed, header_protection=BASELINE)):
        out = transform(b"From The secret.\r\n" + ASKS).content(treatment)
        assert out.startswith(b"From: ")


PSS, OPAQUE = SignatureForm(Signature.RSASSA_PSS), SignatureForm(opaque=True)
BASELINE = HeaderProtection.BASELINE
TO_ALICE = PartnerCertificate(parties.party().certificate)
SECRET = mail(ALICE, BOB, subject="[encrypt] Layoffs", more="Keywords: staff\r\nBcc: x@y.org\r\n")


def sealing(
    transport: KeyTransport = KeyTransport.RSAES_PKCS1V15,
    cipher: ContentEncryption = ContentEncryption.AES256_CBC,
) -> Encryption:
    return Encryption((EncryptionRecipient(TO_ALICE, transport),), cipher)


def test_a_signature_is_written_by_the_scheme_and_in_the_form_that_is_asked_for() -> None:
    once = transform(ASKS)
    for form in (SignatureForm(), PSS, OPAQUE, SignatureForm(Signature.RSASSA_PSS, opaque=True)):
        out = once.content(Sign(KEY, form))
        kind = Protection.SIGNED_DATA if form.opaque else Protection.CLEAR_SIGNED
        assert classify(parse(out)) is kind
        report = received(out).report
        assert report.signature == "pass"
        assert report.signer is not None
        assert report.signer.report.signature == form.scheme.value
        assert parse(out).header.first("subject") == "Re: Hello"


def test_content_is_encrypted_by_the_cipher_and_transport_that_is_asked_for() -> None:
    for cipher in ContentEncryption:
        for transport in KeyTransport:
            out = transform(ASKS).content(SignThenEncrypt(KEY, sealing(transport, cipher), PSS))
            found = received(out, key())
            layer, signed = found.report.layers
            assert (layer.decrypted, found.report.algorithm) == (True, cipher.value)
            assert layer.enveloped is not None
            oaep = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07" in cms_octets(parse(out))
            assert oaep is (transport is KeyTransport.RSAES_OAEP)
            assert signed.signers[0].report.signature == "rsassa_pss"
            assert found.report.signature == "pass"


def test_a_signed_header_is_inside_the_signature_and_stays_outside() -> None:
    for form in (SignatureForm(), OPAQUE):
        out = transform(SECRET).content(Sign(KEY, form, BASELINE))
        found = received(out)
        assert found.report.signature == "pass"
        assert parse(out).header.first("subject") == "Layoffs"
        assert found.opened.innermost.header.first("subject") == "Layoffs"
        assert found.protected is not None
        assert found.protected.scheme.value == "clear"
        assert b"x@y.org" not in bytes(found.opened.innermost)
        altered = out.replace(b"Subject: Layoffs", b"Subject: Bonuses", 1)
        assert "Subject" in received(altered).report.reason


def test_an_encrypted_header_says_nothing_outside_and_everything_inside() -> None:
    for treatment in (
        Encrypt(sealing(), BASELINE),
        SignThenEncrypt(KEY, sealing(), header_protection=BASELINE),
        SignThenEncrypt(KEY, sealing(), OPAQUE, BASELINE),
    ):
        out = transform(SECRET).content(treatment)
        assert b"Layoffs" not in out
        assert b"staff" not in out
        assert parse(out).header.first("subject") == "[...]"
        assert parse(out).header.first("message-id") == "<1@example.test>"
        found = received(out, key())
        assert found.protected is not None
        assert found.protected.scheme.value == "cipher"
        shown = parse(found.message(parse(out).header, ())).header
        assert (shown.first("subject"), shown.first("keywords")) == ("Layoffs", "staff")
        assert b"x@y.org" not in bytes(found.opened.innermost)
        assert found.report.signature == ("none" if isinstance(treatment, Encrypt) else "pass")


def test_a_copy_of_mail_with_a_hidden_header_keeps_its_own() -> None:
    once = transform(SECRET)
    once.content(SignThenEncrypt(KEY, sealing(), OPAQUE, BASELINE))
    copy = once.sent_copy(SentCopy(ACCOUNT, "x", KEY, Signature.RSASSA_PSS))
    assert b"Subject: Layoffs\r\n" in copy
    assert classify(parse(copy)) is Protection.CLEAR_SIGNED
    report = received(copy).report
    assert (report.signature, b"hp=" in copy) == ("pass", False)
    assert report.signer is not None
    assert report.signer.report.signature == "rsassa_pss"


def test_forms_and_fields_are_not_taken_for_one_another() -> None:
    once = transform(SECRET)
    kinds = {
        once.content(Sign(KEY, form, protection))
        for form in (SignatureForm(), PSS, OPAQUE)
        for protection in HeaderProtection
    }
    assert len(kinds) == 6
    assert once.content(Sign(KEY, PSS)) in kinds  # the very same


def test_v21_a_verified_signature_is_taken_off_where_policy_says_so() -> None:
    content = message(opaque())
    kept = transform(content, Role.INBOUND).content(Verify())
    assert kept.endswith(content.partition(b"MIME-Version")[2])
    readable = transform(content, Role.INBOUND, frozenset({Unwrap.OPAQUE})).content(Verify())
    assert readable.endswith(PART)
    assert b"X-SMIME-Badge: green" in readable
    assert (
        transform(content, Role.INBOUND, frozenset({Unwrap.MEETINGS}))
        .content(Verify())
        .endswith(content.partition(b"MIME-Version")[2])
    )


def test_what_one_account_opens_is_opened_once() -> None:
    made_of = transform(message(enveloped()), Role.INBOUND)
    first = made_of.content(Decrypt((ACCOUNT,)))
    assert made_of.content(Decrypt((ACCOUNT,))) is first
    assert made_of.content(Decrypt((ACCOUNT, OTHER))) is first  # held in memory once


def test_what_a_verified_sender_can_read_is_seen_once_it_is_received() -> None:
    for content, treatment in (
        (message(clear()), Verify()),
        (message(enveloped(clear())), Decrypt((ACCOUNT,))),
    ):
        made_of = transform(content, Role.INBOUND)
        assert made_of.seen is None
        made_of.content(treatment)
        assert made_of.seen is not None
        assert (str(made_of.seen.mailbox), made_of.seen.at) == (ALICE, AT)
        assert "2.16.840.1.101.3.4.1.42" in dict(made_of.seen.capabilities.identifiers)


def test_time_to_come_counts_as_now() -> None:
    ahead = message(clear(at=AT + timedelta(minutes=5)))
    seen = transform(ahead, Role.INBOUND)
    seen.content(Verify())
    assert seen.seen is not None
    assert seen.seen.at == AT
    before = message(clear(at=AT - timedelta(minutes=5)))
    seen = transform(before, Role.INBOUND)
    seen.content(Verify())
    assert seen.seen is not None
    assert seen.seen.at == AT - timedelta(minutes=5)


def test_what_is_not_verified_in_everything_is_not_believed() -> None:
    stranger = pki.person(None, ALICE, kind="p256", label="smime person")
    for content in (
        message(PART),
        message(clear(identity=stranger)),
        message(clear(), sender=BOB),
        message(clear().replace(b"Hello Bob", b"Hello Bub")),
        message(clear(der=weakly_signed("sha1"))),
    ):
        made_of = transform(content, Role.INBOUND)
        made_of.content(Verify())
        assert made_of.seen is None


DKIM = "DKIM-Signature: v=1; d=example.test; s=a; h=From:Subject; bh=AA==; b=AA==\r\n"


def test_e38_a_signature_of_our_own_domain_that_breaks_here_goes_and_is_counted() -> None:
    content = mail(ALICE, BOB, subject="Hello", more=DKIM)
    surroundings = world()
    work = make(surroundings.context(), envelope(content, ALICE, BOB))
    assert isinstance(work, Work)
    (signed,) = work.contents
    assert isinstance(signed.delivery.treatment, Sign)
    assert b"DKIM" not in signed.message
    assert work.broken_dkim == 1


def test_e38_a_relayed_message_keeps_it_while_it_holds() -> None:
    ours = mail(ALICE, BOB, subject="Hello", more=DKIM + "X-SMIME-Badge: green\r\n")
    asked = mail(ALICE, BOB, subject="[sign] Hello", more=DKIM)
    treat = relaying(ours)
    assert b"DKIM-Signature" in treat.content(Relay())
    assert treat.broken_dkim == 0
    treat = relaying(asked)
    assert b"DKIM-Signature" not in treat.content(Relay(requests=True))
    assert treat.broken_dkim == 1


def relaying(content: bytes) -> Transform:
    material = transform(content)._material
    return Transform(replace(material, is_own_domain=lambda domain: domain == "example.test"))
