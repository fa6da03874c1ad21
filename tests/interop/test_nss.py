"""CMS and mail with Mozilla's NSS (Thunderbird's), both directions, in a database of its own."""

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from tests.interop import exchange
from tests.interop.exchange import ALTERED, BODIES, KINDS, LARGE, TEXT
from tests.interop.nss import Nss

pytestmark = pytest.mark.interop

SENDERS = ("rsa", "rsa3072", "p256", "p384", "p521")


def verified(nss: Nss, entity: bytes) -> bytes:
    """Verify a clear-signed entity and its chain; give the signers' line."""
    part, der = exchange.split_signed(entity)
    return nss.decode(der, "-c", nss.kept("content", part)).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nss_verifies_every_kind_of_signer(nss: Nss, kind: str) -> None:
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    found = verified(nss, signed)
    assert f'signer0.id="{exchange.address(kind)}"; signer0.status=GoodSignature'.encode() in found
    assert b"status=DigestMismatch" in verified(nss, exchange.altered(signed))


@pytest.mark.parametrize("body", BODIES)
def test_nss_verifies_and_decrypts_every_kind_of_mail(nss: Nss, body: str) -> None:
    message = exchange.mail("p256", BODIES[body])
    assert b"GoodSignature" in verified(nss, exchange.signed_here(message, "p256"))
    sealed = exchange.signed_and_encrypted_here(message, "p256")
    opened = nss.decode(exchange.cms_of(sealed))
    assert opened.stdout.startswith(b"SMIME: \tlevel=1.2; type=envelopedData; ")
    signed = opened.stdout[opened.stdout.index(b"Content-Type: ") :]
    assert b'signer0.id="p256@sender.test"' in verified(nss, signed)
    assert exchange.leaves(exchange.split_signed(signed)[0]) == exchange.leaves(message)


def test_a_signer_below_no_trusted_root_is_refused_by_nss(nss: Nss) -> None:
    signed = exchange.signed_here(exchange.mail("stranger", TEXT), "stranger")
    assert b"GoodSignature" not in verified(nss, signed)


def test_nss_does_not_decrypt_what_is_for_others(nss: Nss) -> None:
    sealed = exchange.encrypted_here(exchange.mail("rsa", TEXT), ["carol"])
    done = nss.decode(exchange.cms_of(sealed))
    assert b"For your eyes" not in done.stdout
    assert done.returncode != 0


def signature(nss: Nss, kind: str, *options: str, content: bytes = TEXT) -> bytes:
    name = nss.kept("text", content)
    return nss("cmsutil", "-S", "-N", exchange.address(kind), "-i", name, *options)


FORMS = {
    "few attributes": ("-T",),
    "all attributes": ("-T", "-G", "-P"),
    "sha384": ("-T", "-G", "-H", "SHA384"),
    "sha512": ("-T", "-G", "-H", "SHA512"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", SENDERS)
def test_what_nss_signs_clear_passes_here(nss: Nss, kind: str, form: str) -> None:
    """E45: BER of indefinite length; without -G there is no signing time."""
    der = signature(nss, kind, *FORMS[form])
    message = exchange.clear_signed(kind, TEXT, der)
    assert classify(parse(message)) is Protection.CLEAR_SIGNED
    report = exchange.received(message).report
    assert (report.signature, report.reason, report.badge) == ("pass", "", "green")
    altered = exchange.clear_signed(kind, ALTERED, der)
    assert exchange.received(altered).report.signature == "fail"
    assert b"status=DigestMismatch" in verified(nss, altered)


@pytest.mark.parametrize("options", [(), ("-G", "-P")], ids=["few", "all"])
def test_what_nss_signs_opaque_passes_here(nss: Nss, options: tuple[str, ...]) -> None:
    for content in (LARGE, TEXT):
        der = signature(nss, "rsa", *options, content=content)
        message = exchange.opaque("rsa", der)
        assert classify(parse(message)) is Protection.SIGNED_DATA
        found = exchange.received(message)
        assert found.report.signature == "pass"
        assert found.opened.content == content
    altered = der.replace(b"your eyes", b"their eye")
    assert exchange.received(exchange.opaque("rsa", altered)).report.signature == "fail"
    assert b"status=DigestMismatch" in nss.decode(altered).stdout


def test_sha1_of_nss_is_policy_here(nss: Nss) -> None:
    """E56."""
    der = signature(nss, "rsa", "-T", "-G", "-H", "SHA1")
    report = exchange.received(exchange.clear_signed("rsa", TEXT, der, micalg="sha1")).report
    assert (report.signature, report.badge) == ("policy", "yellow")


@pytest.mark.parametrize("readers", [("bob",), ("carol", "bob")], ids=["one", "two"])
def test_what_nss_signs_and_encrypts_is_opened_here(nss: Nss, readers: tuple[str, ...]) -> None:
    """E45, E54, V17; NSS takes the cipher it knows every reader to have, 3DES at the least."""
    der = signature(nss, "p384", "-T", "-G", "-P", content=LARGE)
    inner = exchange.clear_signed("p384", LARGE, der).split(b"MIME-Version: 1.0\r\n", 1)[1]
    addresses = ",".join(f"{name}@reader.test" for name in readers)
    sealed = nss("cmsutil", "-E", "-r", addresses, "-i", nss.kept("inner", inner))
    message = exchange.opaque("p384", sealed, "enveloped-data")
    assert classify(parse(message)) is Protection.ENVELOPED_DATA
    for name in readers:
        report = exchange.received(message, name).report
        assert (report.signature, report.encryption) == ("pass", "decrypted")
        assert report.lock == ("yellow" if report.algorithm == "tripledes_3key" else "green")
    assert exchange.received(message).report.encryption == "undecryptable"


def test_certificates_only_of_nss_are_nothing_signed(nss: Nss) -> None:
    """V30."""
    der = nss("cmsutil", "-O", "-r", "bob@reader.test")
    message = exchange.opaque("rsa", der, "certs-only")
    assert classify(parse(message)) is Protection.CERTS_ONLY
    assert exchange.received(message).report.signature == "none"
