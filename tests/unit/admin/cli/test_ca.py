"""`ca`: the built-in authority makes, gives, revokes and lists."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from smime_proxy.certs.authority import Issuer
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.pkcs12 import read_key_file
from smime_proxy.stores import authority
from smime_proxy.stores.connection import Act
from smime_proxy.stores.open import open_store
from tests import pki

from .conftest import Cli


def test_the_authority_is_made_once_and_printed_each_time(cli: Cli) -> None:
    (root,) = read_certificates(cli.done("ca", "init").out.encode())
    assert root.is_ca
    assert cli.done("ca", "init").out == cli.done("ca", "init", "--name", "other").out


def test_without_an_authority_nothing_is_issued(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test")
    assert "ca init" in empty.refused("ca", "issue", "a@example.test")


def test_an_issued_certificate_is_printed_and_its_key_kept(cli: Cli) -> None:
    (certificate,) = read_certificates(cli.done("ca", "issue", "alice@example.test").out.encode())
    assert certificate.may_sign
    assert certificate.may_encrypt
    newest = cli.done("account", "keys", "alice@example.test", "--json").json
    assert certificate.fingerprint in {key["certificate"]["fingerprint"] for key in newest}


def test_teams_and_signing_only_get_no_encryption(cli: Cli) -> None:
    for line in (["team@example.test"], ["alice@example.test", "--signing-only"]):
        (certificate,) = read_certificates(cli.done("ca", "issue", *line).out.encode())
        assert certificate.may_sign
        assert not certificate.may_encrypt


def test_an_address_without_account_needs_a_file(cli: Cli) -> None:
    assert "no account" in cli.refused("ca", "issue", "stranger@example.org")
    out = cli.directory / "stranger.pem"
    cli.done("ca", "issue", "stranger@example.org", "--out", out)
    bundle = read_key_file(out.read_bytes(), None)
    assert bundle.certificate.mailboxes[0].text == "stranger@example.org"
    assert bundle.chain[0].is_ca
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_pkcs12_file_has_a_password(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "x.p12"
    assert "--password-file" in cli.refused("ca", "issue", "x@example.org", "--out", out)
    password = cli.file("password", "secret\r\n")
    cli.done("ca", "issue", "x@example.org", "--out", out, "--password-file", password)
    assert read_key_file(out.read_bytes(), b"secret").certificate.mailboxes


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_issued(cli: Cli) -> None:
    before = cli.done("account", "keys", "alice@example.test").out
    out = cli.directory / "no" / "such" / "directory.pem"
    assert "No such file" in cli.refused("ca", "issue", "alice@example.test", "--out", out)
    assert cli.done("account", "keys", "alice@example.test").out == before


def certificate_of(pem: str) -> Certificate:
    (certificate,) = read_certificates(pem.encode())
    return certificate


def revoked(cli: Cli) -> list[set[int]]:
    """Give the serial numbers on each list, the newest authority's first."""
    blocks = cli.done("ca", "crl").out.split("-----BEGIN")[1:]
    lists = [x509.load_pem_x509_crl(f"-----BEGIN{block}".encode()) for block in blocks]
    return [{entry.serial_number for entry in one} for one in lists]


def current(cli: Cli, address: str) -> set[str]:
    keys = cli.done("account", "keys", address, "--json").json
    return {key["certificate"]["fingerprint"] for key in keys if key["state"] == "current"}


def test_what_is_issued_comes_from_below_the_root(cli: Cli) -> None:
    root = certificate_of(cli.done("ca", "init").out)
    out = cli.directory / "x.pem"
    cli.done("ca", "issue", "x@example.org", "--out", out)
    bundle = read_key_file(out.read_bytes(), None)
    issuing, above = bundle.chain
    assert above == root
    assert bundle.certificate.aki == issuing.ski
    assert issuing.aki == root.ski
    assert issuing.subject == "CN=smime-proxy internal CA issuing 1"


def test_signing_and_encryption_may_be_two_certificates(cli: Cli) -> None:
    for option, fit in (("--signing-only", (True, False)), ("--encryption-only", (False, True))):
        made = certificate_of(cli.done("ca", "issue", "alice@example.test", option).out)
        assert (made.may_sign, made.may_encrypt) == fit
    both = cli("ca", "issue", "alice@example.test", "--signing-only", "--encryption-only")
    assert both.code == 2
    refusal = cli.refused("ca", "issue", "team@example.test", "--encryption-only")
    assert "is a team" in refusal
    again = cli.done("ca", "reissue", "alice@example.test")
    one, two = read_certificates(again.out.encode())
    assert {(c.may_sign, c.may_encrypt) for c in (one, two)} == {(True, False), (False, True)}
    assert "one at a time" in " ".join(
        cli.refused("ca", "reissue", "alice@example.test", "--out", cli.directory / "x").split()
    )


def test_what_was_issued_is_listed(cli: Cli) -> None:
    everything = cli.done("ca", "list", "--json").json
    assert {one["address"] for one in everything} == {
        "alice@example.test", "team@example.test", "partner@example.org", "",
    }  # fmt: skip
    (team,) = cli.done("ca", "list", "TEAM@example.test", "--json").json
    assert (team["uses"], team["state"], team["reason"]) == ("signing", "valid", "")
    assert "issuing authority" in cli.done("ca", "list").out


@pytest.mark.parametrize("name", ["serial", "fingerprint"])
def test_a_revoked_certificate_is_on_the_list_and_its_key_signs_no_more(
    cli: Cli, name: str
) -> None:
    (alice,) = cli.done("ca", "list", "alice@example.test", "--json").json
    assert revoked(cli) == [set(), set()]
    line = ["ca", "revoke", alice["certificate"][name], "--reason", "keyCompromise"]
    assert cli.done(*line).out.endswith(" revoked\n")
    assert revoked(cli) == [{int(alice["certificate"]["serial"], 16)}, set()]
    assert current(cli, "alice@example.test") == set()
    (after,) = cli.done("ca", "list", "alice@example.test", "--json").json
    assert (after["state"], after["reason"]) == ("revoked", "keyCompromise")
    assert "is revoked since" in cli.done(*line).out
    assert "revoked (keyCompromise)" in cli.done("ca", "list").out
    assert cli("ca", "revoke", "00", "--reason", "boredom").code == 2
    assert "no certificate issued" in cli.refused("ca", "revoke", "0123456789")


def test_a_reissued_certificate_signs_from_now_on(cli: Cli) -> None:
    before = current(cli, "alice@example.test")
    made = certificate_of(cli.done("ca", "reissue", "alice@example.test").out)
    assert current(cli, "alice@example.test") == before | {made.fingerprint}
    assert revoked(cli)[0] == set()
    done = cli.done("ca", "reissue", "alice@example.test", "--revoke")
    assert "2 former certificates revoked" in done.err
    assert current(cli, "alice@example.test") == {certificate_of(done.out).fingerprint}
    assert len(revoked(cli)[0]) == 2
    again = cli.done("ca", "reissue", "alice@example.test", "--revoke")
    assert again.err.endswith("\nalice@example.test: 1 former certificate revoked\n")
    (team,) = read_certificates(cli.done("ca", "reissue", "team@example.test").out.encode())
    assert not team.may_encrypt
    assert "nothing was issued" in cli.refused("ca", "reissue", "nobody@example.test")
    out = cli.directory / "again.pem"
    assert "no account" in cli.refused("ca", "reissue", "partner@example.org")
    cli.done("ca", "reissue", "partner@example.org", "--out", out)
    assert len(read_key_file(out.read_bytes(), None).chain) == 2


def test_an_authority_may_be_limited_to_domains(empty: Cli) -> None:
    empty.done("ca", "init", "--domain", "Example.test")
    empty.done("account", "add", "a@example.test")
    empty.done("ca", "issue", "a@example.test")
    out = empty.directory / "x.pem"
    assert "limited to" in empty.refused("ca", "issue", "a@example.org", "--out", out)
    assert "--domain takes a domain" in empty.refused("ca", "renew", "--domain", "a b")
    assert "limited to" in empty.refused("ca", "issue", "a@example.org", "--out", out)
    empty.done("ca", "renew")
    empty.done("ca", "issue", "a@example.org", "--out", out)


def test_a_renewed_authority_issues_below_the_same_root_or_a_new_one(cli: Cli) -> None:
    root = certificate_of(cli.done("ca", "init").out)
    renewed = cli.done("ca", "renew")
    assert certificate_of(renewed.out) == root
    assert "CN=smime-proxy internal CA issuing 2 issues from now on" in renewed.err
    anew = cli.done("ca", "renew", "--root")
    other = certificate_of(anew.out)
    assert other.subject == "CN=smime-proxy internal CA 2"
    assert "others have to be told" in anew.err
    assert certificate_of(cli.done("ca", "init").out) == other
    assert len(cli.done("trust", "list", "--json").json) == 2
    assert len(revoked(cli)) == 5
    made = certificate_of(cli.done("ca", "issue", "alice@example.test").out)
    assert made.issuer == "CN=smime-proxy internal CA issuing 3"


def test_without_an_authority_there_is_nothing_to_renew_or_print(empty: Cli) -> None:
    empty.done("account", "list")
    for line in (["ca", "renew"], ["ca", "crl"]):
        assert "make it with `ca init`" in empty.refused(*line)
    assert empty.done("ca", "list").out == ""


def test_lists_can_be_written_to_a_file(cli: Cli) -> None:
    out = cli.directory / "lists.pem"
    assert cli.done("ca", "crl", "--out", out).out == f"{out}: 2 revocation lists\n"
    assert out.read_text() == cli.done("ca", "crl").out


def test_certificates_say_where_lists_are_once_there_is_a_url(cli: Cli) -> None:
    cli.environment["SMIME_PROXY_AUTHORITY__URL"] = "http://pki.example.test/smime/"
    made = certificate_of(cli.done("ca", "issue", "alice@example.test").out)
    issuing = next(
        one["certificate"]["fingerprint"]
        for one in cli.done("ca", "list", "--json").json
        if not one["address"]
    )
    (point,) = made.x509().extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None
    assert point.full_name[0].value == f"http://pki.example.test/smime/crl/{issuing[:16]}.crl"


def test_a_partner_known_by_the_leaf_alone_is_usable(empty: Cli) -> None:
    """The issuing authority is ours, so nobody has to bring it."""
    empty.done("ca", "init")
    out = empty.directory / "x.pem"
    leaf = empty.done("ca", "issue", "x@example.org", "--out", out).out
    empty.done("cert", "import", empty.file("leaf.pem", leaf))
    (view,) = empty.done("cert", "list", "x@example.org", "--json").json
    assert (view["usable"], view["reason"]) == (True, "")


def test_mail_is_not_encrypted_to_what_is_revoked(cli: Cli) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem")
    (issued,) = cli.done("ca", "list", "partner@example.org", "--json").json
    cli.done("ca", "revoke", issued["certificate"]["serial"])
    (view,) = cli.done("cert", "list", "partner@example.org", "--json").json
    assert (view["usable"], "revoked" in view["reason"]) == (False, True)


def test_a_root_of_an_earlier_version_issues_until_it_is_renewed(empty: Cli) -> None:
    """It has path length 0, so nothing can stand between it and people."""
    old = pki.root("Old", label="authority", path_length=0)
    opened = open_store("sqlite", empty.state, None, migrate=False)
    root = Issuer(old.certificate, pki.rsa_key("authority"))
    authority.init(opened.store, Act("test", pki.NOW), root)
    opened.store.close()
    empty.done("account", "add", "a@example.test")
    before = certificate_of(empty.done("ca", "issue", "a@example.test").out)
    assert before.issuer == old.certificate.subject
    renewed = empty.done("ca", "renew")
    new = certificate_of(renewed.out)
    assert new != old.certificate
    assert "others have to be told" in renewed.err
    assert certificate_of(empty.done("ca", "issue", "a@example.test").out).aki != new.ski
    empty.done("ca", "revoke", before.fingerprint)
    assert [len(one) for one in revoked(empty)] == [0, 0, 1]


def test_a_signature_with_a_revoked_certificate_fails(cli: Cli) -> None:
    bundle = read_key_file((cli.directory / "partner.pem").read_bytes(), None)
    assert isinstance(bundle.private_key, rsa.RSAPrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\nhello\r\n")
    signer = (bundle.certificate.x509(), bundle.private_key, hashes.SHA256())
    der = builder.add_signer(*signer).sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    head = (
        b"From: partner@example.org\nContent-Type: application/pkcs7-mime; smime-type=signed-data\n"
    )
    encoding = b"Content-Transfer-Encoding: base64\n\n"
    mail = cli.file("mail.eml", head + encoding + base64.encodebytes(der))
    assert cli.done("inspect", mail, "--json").json["signature"] == "pass"
    cli.done("ca", "revoke", bundle.certificate.fingerprint)
    verdict = cli.done("inspect", mail, "--json").json
    assert (verdict["signature"], verdict["badge"]) == ("fail", "red")
    (signer_,) = verdict["layers"][0]["signers"]
    assert (signer_["chain"], signer_["integrity"]) == ("revoked", "intact")
