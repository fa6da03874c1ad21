import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from smime_proxy.admin.cli.inspect import without_mbox_line
from smime_proxy.certs.pkcs12 import read_key_file
from smime_proxy.stores.answers import AnswerShelf
from smime_proxy.stores.open import open_store
from tests import pki
from tests.unit.certs.answers import DAY, crl_der

from .conftest import Cli

PLAIN = b"From: a@example.org\r\nSubject: hello\r\n\r\ntext\r\n"


def encrypted_to(pem: bytes) -> bytes:
    """An EnvelopedData in DER, as another program makes it."""
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(b"Content-Type: text/plain\r\n\r\nsecret\r\n")
    recipient = x509.load_pem_x509_certificate(pem)
    return builder.add_recipient(recipient).encrypt(
        serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary]
    )


def as_mail(der: bytes) -> bytes:
    head = b"From: partner@example.org\nContent-Type: application/pkcs7-mime; name=smime.p7m\n"
    return head + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(der)


@pytest.fixture
def secret(cli: Cli) -> bytes:
    return encrypted_to(cli.done("ca", "issue", "alice@example.test").out.encode())


def test_mail_without_smime_has_no_layers(cli: Cli) -> None:
    found = cli.done("inspect", cli.file("m.eml", PLAIN), "--json").json
    assert found == {
        "layers": [],
        "signature": "none",
        "badge": "none",
        "lock": "none",
        "content_type": "text/plain",
        "error": "",
    }


def test_no_store_and_no_settings_are_needed(empty: Cli) -> None:
    empty.done("inspect", empty.file("m.eml", PLAIN), "--json")
    assert not empty.state.exists()


def test_the_stores_keys_open_what_is_encrypted_to_them(cli: Cli, secret: bytes) -> None:
    out = cli.directory / "out"
    path = cli.file("m.eml", as_mail(secret))
    found = cli.done("inspect", path, "--json", "--extract", out).json
    assert found["layers"][0]["kind"] == "enveloped-data"
    assert found["layers"][0]["decrypted"] is True
    assert out.read_bytes() == b"Content-Type: text/plain\r\n\r\nsecret\r\n"
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", ["der", "pem", "mbox"])
def test_bare_cms_and_mbox_files_are_understood(cli: Cli, secret: bytes, form: str) -> None:
    content = {
        "der": secret,
        "pem": b"-----BEGIN CMS-----\n%b-----END CMS-----\n" % base64.encodebytes(secret),
        "mbox": b"From partner@example.org Mon Nov 23 15:00:00 2026\n" + as_mail(secret),
    }[form]
    found = cli.done("inspect", cli.file("m", content), "--json").json
    assert found["layers"][0]["decrypted"] is True


def test_a_given_key_opens_too(cli: Cli) -> None:
    partner = cli.directory / "partner.pem"
    der = encrypted_to(
        read_key_file(partner.read_bytes(), None)
        .certificate.x509()
        .public_bytes(serialization.Encoding.PEM)
    )
    path = cli.file("m.eml", as_mail(der))
    assert cli.done("inspect", path, "--json").json["layers"][0]["decrypted"] is False
    found = cli.done("inspect", path, "--json", "--key", partner).json
    assert found["layers"][0]["decrypted"] is True
    password, p12 = cli.file("password", "secret\n"), cli.directory / "x.p12"
    cli.done("ca", "issue", "x@example.org", "--out", p12, "--password-file", password)
    cli.done("inspect", path, "--key", p12, "--password-file", password, "--key", partner)
    assert "x.p12" in cli.refused("inspect", path, "--key", p12)


def signed_by_partner(cli: Cli) -> Path:
    bundle = read_key_file((cli.directory / "partner.pem").read_bytes(), None)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\nsigned\r\n")
    assert isinstance(bundle.private_key, rsa.RSAPrivateKey)
    signer = builder.add_signer(bundle.certificate.x509(), bundle.private_key, hashes.SHA256())
    return cli.file("signed.p7m", as_mail(signer.sign(serialization.Encoding.DER, [])))


def test_e73_the_subjects_address_is_told_where_it_counts(cli: Cli) -> None:
    legacy = pki.certify(None, name="Legacy", dn_address="partner@example.org", kind="p256")
    signed = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\ntext\r\n")
    assert isinstance(legacy.key, ec.EllipticCurvePrivateKey)
    made = signed.add_signer(legacy.certificate.x509(), legacy.key, hashes.SHA256())
    der = made.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    path, anchor = cli.file("m.eml", as_mail(der)), cli.file("legacy.pem", legacy.pem())
    line = ("inspect", path, "--trust", anchor, "--json")
    (signer,) = cli.done(*line).json["layers"][0]["signers"]
    assert (signer["identity"], signer["email"]) == ("none", [])
    with cli.settings.open("a") as settings:
        settings.write("[trust]\nsubject_address = true\n")
    (signer,) = cli.done(*line).json["layers"][0]["signers"]
    assert (signer["identity"], signer["email"]) == ("match", ["partner@example.org"])


def test_the_stores_anchors_and_those_given_are_trusted(cli: Cli) -> None:
    path = signed_by_partner(cli)
    root = cli.file("root.pem", cli.done("ca", "init").out)
    (signer,) = cli.done("inspect", path, "--json").json["layers"][0]["signers"]
    assert (signer["integrity"], signer["chain"]) == ("intact", "trusted")
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"])
    (signer,) = cli.done("inspect", path, "--json").json["layers"][0]["signers"]
    assert signer["chain"] == "untrusted"
    given = cli.done("inspect", path, "--json", "--trust", root).json
    assert given["layers"][0]["signers"][0]["chain"] == "trusted"


@pytest.mark.parametrize("option", ["--key", "--trust"])
def test_e58_a_given_certificate_is_a_signers_too(empty: Cli, option: str) -> None:
    """E58: for signatures that bring none, as the store's certificates are."""
    alice = pki.person(pki.root(), "alice@example.test", label="alice")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\nsigned\r\n")
    assert isinstance(alice.key, rsa.RSAPrivateKey)
    signer = builder.add_signer(alice.certificate.x509(), alice.key, hashes.SHA256())
    bare = signer.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.NoCerts])
    path = empty.file("signed.p7m", as_mail(bare))
    given = empty.file("alice.pem", alice.key_pem() + alice.pem())
    assert empty.done("inspect", path, "--json").json["signature"] == "permerror"
    found = empty.done("inspect", path, "--json", option, given).json
    (signer,) = found["layers"][0]["signers"]
    assert signer["integrity"] == "intact"
    assert signer["chain"] == ("trusted" if option == "--trust" else "untrusted")


def test_what_the_store_knows_of_revocations_counts(cli: Cli) -> None:
    """E81, V8: by the answers at hand; nothing is fetched."""
    identity = pki.person(pki.root(), "partner@example.org", label="partner")
    assert isinstance(identity.key, rsa.RSAPrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\nsigned\r\n")
    signer = builder.add_signer(identity.certificate.x509(), identity.key, hashes.SHA256())
    path = cli.file("s.eml", as_mail(signer.sign(serialization.Encoding.DER, [])))
    cli.done("trust", "add", cli.file("pki.pem", pki.root().pem()))
    assert cli.done("inspect", path, "--json").json["badge"] == "green"
    now = datetime.now(UTC).replace(microsecond=0)
    store = open_store("sqlite", cli.state, None, migrate=False).store
    shelf = AnswerShelf(store)
    shelf.claim("http://lists.test/", now)
    then = now - DAY
    revoked = crl_der(pki.root(), identity, at=then, this_update=then, next_update=now + DAY)
    shelf.keep("http://lists.test/", revoked, now, now + DAY)
    store.close()
    found = cli.done("inspect", path, "--json").json
    assert (found["signature"], found["badge"]) == ("fail", "red")
    assert found["layers"][0]["signers"][0]["chain"] == "revoked"
    cli.settings.write_text(cli.settings.read_text() + '\n[revocation]\nmode = "off"\n')
    assert cli.done("inspect", path, "--json").json["badge"] == "green"


def test_the_time_can_be_chosen(cli: Cli) -> None:
    path = signed_by_partner(cli)
    late = f"{datetime.now(UTC).year + 5}-01-01"
    (signer,) = cli.done("inspect", path, "--json", "--at", late).json["layers"][0]["signers"]
    assert signer["chain"] == "expired"
    assert "is not a time" in cli.refused("inspect", path, "--at", "yesterday")


@pytest.mark.parametrize("at", ["soon", "0001-01-01T00:00+14:00", "9999-12-31T23:59-23:59"])
def test_what_is_no_time_is_told_in_one_line(cli: Cli, at: str) -> None:
    path = cli.file("m.eml", PLAIN)
    assert "is not a time such as" in cli.refused("inspect", path, "--at", at)


def test_malformed_cms_is_an_object_with_an_error_and_code_1(cli: Cli) -> None:
    path = cli.file("m.eml", as_mail(b"\x30\x82\xff\xffbroken"))
    result = cli("inspect", path, "--json")
    assert result.code == 1
    assert result.json["error"]
    assert result.err == ""
    assert cli.refused("inspect", path)


def test_nothing_to_extract_is_refused_and_the_file_kept(cli: Cli) -> None:
    out = cli.file("out", "before")
    assert "nothing to extract" in cli.refused(
        "inspect", cli.file("m.eml", PLAIN), "--extract", out
    )
    assert out.read_text() == "before"


@pytest.mark.parametrize("option", ["", "--key", "--trust"])
def test_extraction_never_writes_over_a_file_that_is_read(
    cli: Cli, secret: bytes, option: str
) -> None:
    path = cli.file("m.eml", as_mail(secret))
    given = cli.file("given.pem", b"precious")
    named: list[str | Path] = [option, given] if option else []
    out = given if option else path
    before = out.read_bytes()
    refused = cli.refused("inspect", path, *named, "--extract", out)
    assert f"--extract: {out} is one of the files to read" in refused
    assert out.read_bytes() == before


def test_people_read_lines(cli: Cli, secret: bytes) -> None:
    shown = cli.done("inspect", cli.file("m.eml", as_mail(secret))).out
    assert shown.startswith("layer 1: enveloped-data ")
    assert "\nlock: green\n" in shown


def test_only_an_mbox_line_is_skipped() -> None:
    assert without_mbox_line(b"From a@b Mon\nX: y\n") == b"X: y\n"
    assert without_mbox_line(PLAIN) == PLAIN


def test_a_gateways_signature_is_told_as_the_settings_say(cli: Cli) -> None:
    gateway = pki.person(None, "gateway@firm.example", kind="p256")
    signed = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\ntext\r\n")
    assert isinstance(gateway.key, ec.EllipticCurvePrivateKey)
    made = signed.add_signer(gateway.certificate.x509(), gateway.key, hashes.SHA256())
    der = made.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    path = cli.file("m.eml", as_mail(der).replace(b"partner@example.org", b"clerk@firm.example"))
    anchor = cli.file("gateway.pem", gateway.pem())
    line = ("inspect", path, "--trust", anchor, "--json")
    assert "via" not in cli.done(*line).json["layers"][0]["signers"][0]
    with cli.settings.open("a") as settings:
        settings.write('[partners."firm.example"]\ngateway_signer = "gateway@firm.example"\n')
    found = cli.done(*line).json
    (signer,) = found["layers"][0]["signers"]
    assert (signer["identity"], signer["via"], found["badge"]) == ("match", "gateway", "yellow")
    own = pki.person(None, "clerk@firm.example", kind="p256")
    cli.done("cert", "import", cli.file("own.pem", own.pem()))
    (signer,) = cli.done(*line).json["layers"][0]["signers"]
    assert (signer["identity"], "via" in signer) == ("mismatch", False)
