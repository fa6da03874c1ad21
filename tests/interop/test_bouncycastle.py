"""Whole messages with Bouncy Castle's S/MIME API, both directions, in one Java process."""

from itertools import product

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from tests import pki
from tests.interop import exchange
from tests.interop.bouncycastle import BouncyCastle, headed
from tests.interop.exchange import BODIES, KINDS, LARGE, TEXT

pytestmark = pytest.mark.interop


@pytest.fixture(name="peer")
def _peer(bouncycastle: BouncyCastle) -> BouncyCastle:
    return bouncycastle


@pytest.mark.parametrize("kind", KINDS)
def test_bouncycastle_validates_every_kind_of_signer(peer: BouncyCastle, kind: str) -> None:
    """Its validator looks at the signature, the chain, the key usage and the address in From."""
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    assert peer.validate(signed)[0] == f"CN={exchange.address(kind)} good valid;"
    assert peer.validate(exchange.altered(signed))[0] == (
        f"CN={exchange.address(kind)} bad invalid;"
    )


@pytest.mark.parametrize("body", BODIES)
def test_bouncycastle_reads_every_kind_of_mail(peer: BouncyCastle, body: str) -> None:
    message = exchange.mail("rsa", BODIES[body])
    told, content = peer.validate(exchange.signed_here(message, "rsa"))
    assert told == "CN=rsa@sender.test good valid;"
    assert exchange.leaves(content) == exchange.leaves(message)
    sealed = exchange.signed_and_encrypted_here(message, "p384")
    told, content = peer.validate(headed("p384", peer.decrypt_mail(sealed, "bob")))
    assert told.startswith("CN=p384@sender.test good")
    assert exchange.leaves(content) == exchange.leaves(message)
    opened = peer.decrypt_mail(exchange.encrypted_here(message), "carol")
    assert exchange.leaves(opened) == exchange.leaves(message)


def test_bouncycastle_refuses_strangers_and_borrowed_names(peer: BouncyCastle) -> None:
    """V6, V10: its verdicts are those found here."""
    stranger = exchange.signed_here(exchange.mail("stranger", TEXT), "stranger")
    assert peer.validate(stranger)[0] == "CN=stranger@sender.test good invalid;"
    signed = exchange.signed_here(exchange.mail("rsa", TEXT), "rsa")
    borrowed = signed.replace(b"rsa@sender.test", b"ceo@sender.test", 1)
    assert peer.validate(borrowed)[0] == "CN=rsa@sender.test good invalid;"
    assert exchange.received(borrowed, at=pki.NOW).report.signature == "policy"


def test_bouncycastle_does_not_decrypt_what_is_for_others(peer: BouncyCastle) -> None:
    sealed = exchange.encrypted_here(exchange.mail("rsa", TEXT), ["bob"])
    answer = peer.ask("decrypt", peer.given(sealed), "out", "carol.key", "carol.der")
    assert answer == "error\tjava.lang.IllegalArgumentException: no recipient"


FORMS = ("detached", "detached ski", "detached direct", "opaque", "opaque ski", "opaque direct")


@pytest.mark.parametrize(
    ("kind", "form"),
    [*product(["rsa"], FORMS), *product(["rsa3072", "p256", "p384", "p521"], FORMS[:1])],
)
def test_mail_that_bouncycastle_signs_passes_here(peer: BouncyCastle, kind: str, form: str) -> None:
    """E45-E48, E50; `direct` is without attributes, `ski` names the key and no certificate."""
    message = peer.sign_mail([kind], form)
    expected = Protection.SIGNED_DATA if "opaque" in form else Protection.CLEAR_SIGNED
    assert classify(parse(message)) is expected
    report = exchange.received(message).report
    assert (report.signature, report.reason, report.badge) == ("pass", "", "green")
    if expected is Protection.CLEAR_SIGNED:
        changed = exchange.received(exchange.altered(message)).report
        assert (changed.signature, changed.badge) == ("fail", "red")


def test_weak_and_broken_digests_of_bouncycastle(peer: BouncyCastle) -> None:
    """E56, V12."""
    sha1 = exchange.received(peer.sign_mail(["rsa"], algorithm="SHA1withRSA")).report
    assert (sha1.signature, sha1.badge) == ("policy", "yellow")
    md5 = exchange.received(peer.sign_mail(["rsa"], algorithm="MD5withRSA")).report
    assert (md5.signature, md5.badge) == ("fail", "red")
    pss = exchange.received(peer.sign_mail(["rsa"], algorithm="SHA256withRSAandMGF1")).report
    assert (pss.signature, pss.badge) == ("pass", "green")


def test_several_signers_of_bouncycastle_are_all_judged(peer: BouncyCastle) -> None:
    """E17, V14: only the first one's address is in From."""
    report = exchange.received(peer.sign_mail(["rsa", "p256", "p384"])).report
    assert [signer.result for signer in report.layers[0].signers].count("pass") == 1
    assert {signer.report.integrity.value for signer in report.layers[0].signers} == {"intact"}
    assert report.signature == "policy"


CIPHERS = {
    "2.16.840.1.101.3.4.1.2": ("aes128_cbc", "green"),
    "2.16.840.1.101.3.4.1.22": ("aes192_cbc", "green"),
    "2.16.840.1.101.3.4.1.42": ("aes256_cbc", "green"),
    "1.2.840.113549.3.7": ("tripledes_3key", "yellow"),
}


@pytest.mark.parametrize(
    ("cipher", "options"), list(zip(CIPHERS, ["", "ski", "ski ber", "ber"], strict=True))
)
def test_mail_that_bouncycastle_signs_and_encrypts_is_opened_here(
    peer: BouncyCastle, cipher: str, options: str
) -> None:
    """E45, E50, E54, V17, V24."""
    signed = peer.sign_mail(["p256"], "opaque" if options else "detached", content=LARGE)
    # Only the Content-* fields and what is behind them are encrypted.
    message = peer.encrypt_mail(signed[signed.index(b"Content-Type:") :], "p256", cipher, options)
    assert classify(parse(message)) is Protection.ENVELOPED_DATA
    for name in exchange.READERS:
        report = exchange.received(message, name).report
        assert (report.signature, report.encryption) == ("pass", "decrypted")
        assert (report.algorithm, report.lock) == CIPHERS[cipher]
    assert exchange.received(message).report.encryption == "undecryptable"
