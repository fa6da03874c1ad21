"""CMS with OpenSSL, both directions: what it writes is read here, what is written here it reads."""

import os
import subprocess
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.cms.decrypt import DecryptionKey, decrypt, matches
from smime_proxy.cms.envelop import envelop
from smime_proxy.cms.recipient import CmsRecipient
from smime_proxy.cms.sign import CmsSigner, sign
from smime_proxy.cms.structures import content_kind, parse_enveloped_data, parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from tests import pki
from tests.peers import require

pytestmark = pytest.mark.interop

OPENSSL = require("openssl")
KINDS = ["rsa", "p256", "p384", "p521"]
SMALL = b"Content-Type: text/plain\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
LARGE = bytes(range(256)) * 4000  # over several buffers of OpenSSL's streams


@cache
def authority() -> pki.Identity:
    return pki.root("Interop Root")


@cache
def person(kind: str) -> pki.Identity:
    return pki.person(authority(), f"{kind}@example.test", kind=kind)


def key_of(identity: pki.Identity) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    assert isinstance(identity.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return identity.key


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "root.pem").write_bytes(authority().pem())
    for kind in KINDS:
        (tmp_path / f"{kind}.pem").write_bytes(person(kind).pem())
        (tmp_path / f"{kind}.key").write_bytes(person(kind).key_pem())
    return tmp_path


def openssl(files: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        [OPENSSL, "cms", *arguments], cwd=files, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(("kind", "detached"), list(product(KINDS, [True, False])))
def test_openssl_verifies_what_is_signed_here(files: Path, kind: str, detached: bool) -> None:
    signer = CmsSigner.build(key_of(person(kind)), person(kind).der, (), capabilities=True)
    (files / "signed").write_bytes(sign(SMALL, signer, signing_time=pki.NOW, detached=detached))
    (files / "content").write_bytes(SMALL)
    content = ("-content", "content") if detached else ()
    found = openssl(
        files, "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "root.pem", "-binary",
        "-cades", *content,
    )  # fmt: skip
    assert found == SMALL


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_openssl_decrypts_what_is_enveloped_here(files: Path, content: bytes) -> None:
    recipients = [CmsRecipient.from_certificate(person("rsa").der)] * 2
    (files / "sealed").write_bytes(envelop(content, recipients, random=os.urandom))
    key = ("-recip", "rsa.pem", "-inkey", "rsa.key")
    assert openssl(files, "-decrypt", "-inform", "DER", "-in", "sealed", *key, "-binary") == content


FORMS = {
    "attached": ("-nodetach",),
    "streamed": ("-nodetach", "-stream"),
    "detached": (),
    "by key identifier": ("-nodetach", "-keyid", "-stream"),
    "without attributes": ("-nodetach", "-noattr"),
    "with a certificate attribute": ("-nodetach", "-cades"),
    "sha512": ("-nodetach", "-md", "sha512", "-stream"),
}


@pytest.mark.parametrize(("kind", "form"), list(product(KINDS, FORMS)))
def test_what_openssl_signs_verifies_here(files: Path, kind: str, form: str) -> None:
    """E45-E47."""
    (files / "content").write_bytes(LARGE)
    options = FORMS[form]
    raw = openssl(
        files, "-sign", "-in", "content", "-binary", "-outform", "DER", "-signer", f"{kind}.pem",
        "-inkey", f"{kind}.key", *options,
    )  # fmt: skip
    assert content_kind(raw) == "signed-data"
    signed = parse_signed_data(raw)
    if form != "detached":
        assert signed.content_octets() == LARGE
    (report,) = verify(signed, [LARGE] if form == "detached" else [])
    assert (report.integrity, report.reason) == (Integrity.INTACT, "")
    assert report.certificate == person(kind).der
    assert report.signature == ("rsassa_pkcs1v15" if kind == "rsa" else "ecdsa")
    (report,) = verify(signed, [LARGE[1:]])
    assert report.integrity is Integrity.BROKEN


def test_certificates_may_be_left_out_by_openssl(files: Path) -> None:
    """E58."""
    (files / "content").write_bytes(SMALL)
    raw = openssl(
        files, "-sign", "-in", "content", "-binary", "-outform", "DER", "-signer", "rsa.pem",
        "-inkey", "rsa.key", "-nocerts",
    )  # fmt: skip
    assert verify(parse_signed_data(raw), [SMALL])[0].integrity is Integrity.UNKNOWN
    (report,) = verify(parse_signed_data(raw), [SMALL], [person("rsa").der])
    assert report.integrity is Integrity.INTACT


CIPHERS = {
    "-aes128": "aes128_cbc",
    "-aes192": "aes192_cbc",
    "-aes256": "aes256_cbc",
    "-des3": "tripledes_3key",
}


@pytest.mark.parametrize(
    ("cipher", "options"), list(product(CIPHERS, [(), ("-stream",), ("-keyid", "-stream")]))
)
def test_what_openssl_encrypts_is_decrypted_here(
    files: Path, cipher: str, options: tuple[str, ...]
) -> None:
    """E45, E50, E54."""
    for content in (b"", SMALL, LARGE):
        (files / "content").write_bytes(content)
        raw = openssl(
            files, "-encrypt", "-in", "content", "-binary", "-outform", "DER", cipher, *options,
            "rsa.pem",
        )  # fmt: skip
        assert content_kind(raw) == "enveloped-data"
        enveloped = parse_enveloped_data(raw)
        assert enveloped.content_encryption == CIPHERS[cipher]
        key = DecryptionKey.build(key_of(person("rsa")), person("rsa").der)
        assert matches(enveloped, [key]) == (key,)
        assert decrypt(enveloped, [key]) == content


def test_a_message_that_also_has_other_recipients_is_decrypted(files: Path) -> None:
    """M1: what `cryptography` gives up on."""
    (files / "content").write_bytes(SMALL)
    raw = openssl(
        files, "-encrypt", "-in", "content", "-binary", "-outform", "DER", "-aes256",
        "-secretkey", "00" * 32, "-secretkeyid", "01", "-pwri_password", "secret",
        "p256.pem", "rsa.pem",
    )  # fmt: skip
    enveloped = parse_enveloped_data(raw)
    kinds = {recipient.type for recipient in enveloped.recipients}
    assert kinds == {"ktri", "kari", "kekri", "pwri"}
    rsa_key, ec_key = (
        DecryptionKey.build(key_of(person(kind)), person(kind).der) for kind in ("rsa", "p256")
    )
    assert matches(enveloped, [ec_key, rsa_key]) == (ec_key, rsa_key)
    assert decrypt(enveloped, [ec_key, rsa_key]) == SMALL
    assert decrypt(enveloped, [ec_key]) == SMALL
    assert decrypt(enveloped, [rsa_key]) == SMALL


def test_authenticated_enveloped_data_of_openssl_is_decrypted(files: Path) -> None:
    (files / "content").write_bytes(SMALL)
    raw = openssl(
        files, "-encrypt", "-in", "content", "-binary", "-outform", "DER", "-aes-256-gcm",
        "rsa.pem",
    )  # fmt: skip
    assert content_kind(raw) == "auth-enveloped-data"
    enveloped = parse_enveloped_data(raw)
    assert (enveloped.content_encryption, enveloped.authenticated) == ("aes256_gcm", True)
    assert len(enveloped.recipients) == 1
    key = DecryptionKey.build(key_of(person("rsa")), person("rsa").der)
    assert decrypt(enveloped, [key]) == SMALL


def test_certificates_only_of_openssl_are_recognised(files: Path) -> None:
    done = subprocess.run(
        [OPENSSL, "crl2pkcs7", "-nocrl", "-certfile", "rsa.pem", "-outform", "DER"],
        cwd=files,
        capture_output=True,
        check=True,
    )
    assert content_kind(done.stdout) == "certs-only"
    assert parse_signed_data(done.stdout).certificates == (person("rsa").der,)
