"""CMS and mail with GnuPG's gpgsm, both directions, in a home of its own with its own agent."""

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from smime_proxy.smime.inspect import inspect
from tests.interop import exchange
from tests.interop.exchange import ALTERED, BODIES, LARGE, TEXT
from tests.interop.gpgsm import Gpgsm, thumb

pytestmark = pytest.mark.interop

SIGNERS = ("rsa", "rsa3072")


@pytest.mark.parametrize("kind", [kind for kind in exchange.KINDS if kind != "p521"])
def test_gpgsm_verifies_every_kind_of_signer(gpgsm: Gpgsm, kind: str) -> None:
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    part, der = exchange.split_signed(signed)
    status = gpgsm.status(der, part)
    assert f"GOODSIG {thumb(exchange.sender(kind))}" in status
    assert "TRUST_FULLY" in status
    altered = gpgsm.status(der, part[:-4] + b"\r\n\r\n")
    assert "BADSIG" in altered
    assert "GOODSIG" not in altered


@pytest.mark.parametrize("body", BODIES)
def test_gpgsm_verifies_and_decrypts_every_kind_of_mail(gpgsm: Gpgsm, body: str) -> None:
    message = exchange.mail("rsa", BODIES[body])
    part, der = exchange.split_signed(exchange.signed_here(message, "rsa"))
    assert "GOODSIG" in gpgsm.status(der, part)
    assert exchange.leaves(part) == exchange.leaves(message)
    sealed = exchange.signed_and_encrypted_here(message, "rsa3072")
    part, der = exchange.split_signed(gpgsm.decrypt(exchange.cms_of(sealed)))
    assert f"GOODSIG {thumb(exchange.sender('rsa3072'))}" in gpgsm.status(der, part)
    assert exchange.leaves(part) == exchange.leaves(message)
    opened = gpgsm.decrypt(exchange.cms_of(exchange.encrypted_here(message)))
    assert exchange.leaves(opened) == exchange.leaves(message)


def test_a_signer_below_no_trusted_root_is_not_trusted_by_gpgsm(gpgsm: Gpgsm) -> None:
    signed = exchange.signed_here(exchange.mail("stranger", TEXT), "stranger")
    part, der = exchange.split_signed(signed)
    assert "TRUST_FULLY" not in gpgsm.status(der, part)


def test_gpgsm_does_not_decrypt_what_is_for_others(gpgsm: Gpgsm) -> None:
    sealed = exchange.cms_of(exchange.encrypted_here(exchange.mail("rsa", TEXT), ["carol"]))
    done = gpgsm.run("--decrypt", gpgsm.kept(sealed))
    assert done.returncode != 0
    assert b"For your eyes" not in done.stdout


def signature(gpgsm: Gpgsm, kind: str, *options: str, content: bytes = TEXT) -> bytes:
    """Let gpgsm sign, with all of the chain but the root."""
    return gpgsm(
        "--local-user", exchange.address(kind), *options,
        gpgsm.kept(content),
    )  # fmt: skip


@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512", "SHA224"])
@pytest.mark.parametrize("kind", SIGNERS)
def test_what_gpgsm_signs_clear_passes_here(gpgsm: Gpgsm, kind: str, digest: str) -> None:
    """E45: BER of indefinite length."""
    der = signature(gpgsm, kind, "--detach-sign", "--digest-algo", digest)
    message = exchange.clear_signed(kind, TEXT, der)
    assert classify(parse(message)) is Protection.CLEAR_SIGNED
    report = exchange.received(message).report
    assert (report.signature, report.reason, report.badge) == ("pass", "", "green")
    (signer,) = report.layers[0].signers
    assert signer.report.digest == digest.lower()
    altered = exchange.received(exchange.clear_signed(kind, ALTERED, der)).report
    assert (altered.signature, altered.badge) == ("fail", "red")


def test_what_gpgsm_signs_opaque_passes_here(gpgsm: Gpgsm) -> None:
    for content in (LARGE, TEXT):
        der = signature(gpgsm, "rsa", "--sign", content=content)
        message = exchange.opaque("rsa", der)
        assert classify(parse(message)) is Protection.SIGNED_DATA
        found = exchange.received(message)
        assert found.report.signature == "pass"
        assert found.opened.content == content
    altered = exchange.opaque("rsa", der.replace(b"your eyes", b"their eye"))
    assert exchange.received(altered).report.signature == "fail"
    assert "BADSIG" in gpgsm.status(exchange.cms_of(altered))


def test_bare_objects_of_gpgsm_are_inspected_in_every_form(gpgsm: Gpgsm) -> None:
    armored = signature(gpgsm, "rsa", "--sign", "--armor")
    assert armored.startswith(b"-----BEGIN SIGNED MESSAGE-----")
    for raw in (armored, signature(gpgsm, "rsa", "--sign")):
        found = inspect(raw, keys=(), trust=exchange.trust(), at=exchange.now()).as_json()
        assert (found["error"], found["content_type"]) == ("", "text/plain")
        (signer,) = found["layers"][0]["signers"]  # type: ignore[index]
        assert (signer["integrity"], signer["chain"], signer["identity"]) == (
            ("intact", "trusted", "none")
        )
    sealed = gpgsm(
        "--recipient", "bob@reader.test", "--armor", "--encrypt", gpgsm.kept(TEXT)
    )  # fmt: skip
    opened = inspect(sealed, keys=exchange.keys("bob"), trust=exchange.trust(), at=exchange.now())
    assert opened.extracted == TEXT


def test_sha1_of_gpgsm_is_policy_here(gpgsm: Gpgsm) -> None:
    """E56."""
    der = signature(gpgsm, "rsa", "--detach-sign", "--digest-algo", "SHA1")
    report = exchange.received(exchange.clear_signed("rsa", TEXT, der, micalg="sha1")).report
    assert (report.signature, report.badge) == ("policy", "yellow")


def test_two_signers_of_gpgsm_are_both_judged(gpgsm: Gpgsm) -> None:
    """E17."""
    both = ("--local-user", exchange.address("rsa3072"), "--detach-sign")
    der = signature(gpgsm, "rsa", *both)
    signers = exchange.received(exchange.clear_signed("rsa", TEXT, der)).report.layers[0].signers
    assert sorted(signer.result for signer in signers) == ["pass", "policy"]


CIPHERS = {
    "AES": ("aes128_cbc", "green"),
    "AES192": ("aes192_cbc", "green"),
    "AES256": ("aes256_cbc", "green"),
    "3DES": ("tripledes_3key", "yellow"),
}


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_gpgsm_signs_and_encrypts_is_opened_here(gpgsm: Gpgsm, cipher: str) -> None:
    """E45, E54, V17, V24."""
    der = signature(gpgsm, "rsa", "--detach-sign", content=LARGE)
    # The header of the message is none of the encrypted entity.
    inner = exchange.clear_signed("rsa", LARGE, der).split(b"MIME-Version: 1.0\r\n", 1)[1]
    readers = ("--recipient", "bob@reader.test", "--recipient", "carol@reader.test")
    sealed = gpgsm(*readers, "--cipher-algo", cipher, "--encrypt", gpgsm.kept(inner))
    message = exchange.opaque("rsa", sealed, "enveloped-data")
    assert classify(parse(message)) is Protection.ENVELOPED_DATA
    for name in exchange.READERS:
        report = exchange.received(message, name).report
        assert (report.signature, report.encryption) == ("pass", "decrypted")
        assert (report.algorithm, report.lock) == CIPHERS[cipher]
    assert exchange.received(message).report.encryption == "undecryptable"
