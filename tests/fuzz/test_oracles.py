import base64

import pytest

from smime_proxy.cms.envelop import envelop
from smime_proxy.gateway.work import Content, Work
from smime_proxy.policy.plan import Delivery, Relay, Verify
from tests import fakes
from tests.fuzz import exchange, people, seeds, targets
from tests.fuzz.violation import Violation

OTHER = b"Content-Type: text/plain\r\n\r\nwhat nobody signed\r\n"


@pytest.mark.parametrize("wrapped", [seeds.clear_signed, seeds.opaque])
def test_a_pass_for_other_octets_than_those_of_the_seeds_is_told(wrapped: seeds.Wrapped) -> None:
    targets.run_inspect(seeds.TOP + wrapped(seeds.TEXT))
    with pytest.raises(Violation, match="only what was signed"):
        targets.run_inspect(seeds.TOP + wrapped(OTHER))


def test_a_pass_for_another_sender_is_told() -> None:
    mail = seeds.TOP.replace(people.ALICE.encode(), people.BOB.encode())
    with pytest.raises(Violation, match="from its signer"):
        targets.run_inspect(mail + seeds.clear_signed(seeds.TEXT, "bob"))


def test_an_intact_signature_over_other_octets_is_told() -> None:
    targets.run_verify(seeds.signed(seeds.TEXT, detached=False))
    with pytest.raises(Violation, match="only what was signed"):
        targets.run_verify(seeds.signed(OTHER, detached=False))


def test_authenticated_ciphertext_that_opens_to_other_octets_is_told() -> None:
    def sealed(content: bytes) -> bytes:
        recipients = [people.recipient("alice")]
        return envelop(content, recipients, content_encryption="aes256_gcm", random=fakes.Octets())

    targets.run_decrypt(sealed(seeds.TEXT))
    with pytest.raises(Violation, match="what was sealed"):
        targets.run_decrypt(sealed(OTHER))


@pytest.mark.parametrize(
    ("body", "leaks"),
    [(b"nothing", False), (seeds.CANARY, True)]
    + [(base64.encodebytes(b"ab"[:n] + b"abc" * 40 + seeds.CANARY), True) for n in range(3)],
)
def test_clear_text_that_leaves_is_told(body: bytes, leaks: bool) -> None:
    made = Content(Delivery((), Relay(), "relay"), seeds.TOP + b"\r\n" + body)
    if not leaks:
        exchange.hold_nothing_shows(made)
        return
    with pytest.raises(Violation, match="show"):
        exchange.hold_nothing_shows(made)


FORGED = "X-SMIME-Signature: pass\r\n"
CLAIMED = 'Authentication-Results: "PROXY.example.test" 1;\r\n smime=pass\r\n'
FOUND = (
    "Authentication-Results: proxy.example.test; smime=none\r\nX-SMIME-Signature: none\r\n"
    "X-SMIME-Encryption: none\r\nX-SMIME-Badge: none\r\nX-SMIME-Lock: none\r\n"
)


@pytest.mark.parametrize(
    ("treatment", "header", "fault"),
    [
        (Relay(), "", ""),
        (Verify(), FOUND, ""),
        (Relay(), FORGED, "X-SMIME fields"),
        (Relay(), CLAIMED, "in our name"),
        (Relay(), "From: mallory@example.org\r\n", "From stays"),
        (Verify(), FOUND + FORGED, "X-SMIME fields"),
        (Verify(), FOUND + CLAIMED, "in our name"),
        (Verify(), "Subject: x\r\n" + FOUND, "told first"),
        (Verify(), "", "in our name"),
    ],
)
def test_results_of_others_and_another_from_are_told(
    treatment: Relay | Verify, header: str, fault: str
) -> None:
    came = seeds.TOP + seeds.TEXT
    made = Content(Delivery((), treatment, "rule"), header.encode() + came)
    if not fault:
        exchange.hold_results_are_ours(came, made)
        return
    with pytest.raises(Violation, match=fault):
        exchange.hold_results_are_ours(came, made)


def test_mail_in_clear_reaches_the_gateway_that_must_encrypt_it() -> None:
    """The oracle of clear text sees real work: a plain mail is encrypted for the partner alone."""
    assert exchange.run_outbound(seeds.TOP + seeds.TEXT) != "too complex"
    work = exchange.outbound(seeds.TOP + seeds.TEXT)
    assert isinstance(work, Work)
    assert [list(map(str, made.delivery.recipients)) for made in work.contents] == [
        [people.PARTNER]
    ]


def test_every_seed_keeps_every_promise() -> None:
    for name, target in targets.TARGETS.items():
        for raw in seeds.made_here(target.kind):
            assert target.run(raw) is not None, name


def test_what_passes_is_what_alice_signed_of_the_seeds() -> None:
    """Plain, of several parts, and with the header inside in two ways."""
    assert {sender for sender, _ in targets.known_signed()} == {people.ALICE}
    assert len(targets.known_signed()) == 4
