import pytest

from smime_proxy.cms.envelop import envelop
from smime_proxy.gateway.work import Content, Work
from smime_proxy.policy.plan import Delivery, Relay
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


@pytest.mark.parametrize(("body", "leaks"), [(b"nothing", False), (seeds.CANARY, True)])
def test_clear_text_that_leaves_is_told(body: bytes, leaks: bool) -> None:
    made = Content(Delivery((), Relay(), "relay"), seeds.TOP + b"\r\n" + body)
    if not leaks:
        exchange.hold_nothing_shows(made)
        return
    with pytest.raises(Violation, match="shows nothing"):
        exchange.hold_nothing_shows(made)


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
