"""Treatments carried out on octets: what stays, what goes, what is made."""

from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.envelope import Role
from smime_proxy.gateway.transform import Material, Transform
from smime_proxy.gateway.work import Work, make
from smime_proxy.message.parse import parse
from smime_proxy.message.requests import DEFAULT_WORDS
from smime_proxy.policy.plan import Encrypt, Relay, SentCopy, Sign, SigningKey
from smime_proxy.policy.rules import Policy
from smime_proxy.smime.classify import Protection, classify
from tests.fakes import FakeKey, Octets, World, envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, world
from tests.unit.policy.cases import ALICE as ACCOUNT
from tests.unit.smime.cases import clear, key, message, received, signer_of, trust

KEY = SigningKey(ACCOUNT, FakeKey(parties.party()))
ASKS = mail(
    ALICE,
    BOB,
    subject="Re: [sign] Hello",
    more=f"X-SMIME-Sign: yes\r\nX-SMIME-Badge: green\r\nBcc: {STRANGER}\r\nResent-Bcc: x@y.org\r\n",
)


def transform(content: bytes, role: Role = Role.OUTBOUND) -> Transform:
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
    assert b"Bcc" not in only.message
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
    sealed = Encrypt((PartnerCertificate(parties.party("rsa", "bob").certificate),))
    assert transform(b"From The secret.\r\n" + ASKS).content(sealed).startswith(b"From: ")
