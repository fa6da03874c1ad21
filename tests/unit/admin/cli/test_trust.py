"""`trust`: who is believed, for whom, and since when."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests import pki
from tests.peers import require

from .conftest import Cli


def signed(someone: pki.Identity, address: str) -> bytes:
    """A mail signed opaque, as another program makes it."""
    assert isinstance(someone.key, ec.EllipticCurvePrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\nhello\r\n")
    der = builder.add_signer(someone.certificate.x509(), someone.key, hashes.SHA256()).sign(
        Encoding.DER, [pkcs7.PKCS7Options.Binary]
    )
    head = f"From: {address}\nContent-Type: application/pkcs7-mime; smime-type=signed-data\n"
    return head.encode() + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(der)


def test_the_authority_is_trusted_from_the_start(cli: Cli) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    assert anchor["domains"] == []
    assert "everywhere" in cli.done("trust", "list").out


def test_an_authority_can_be_limited_to_domains(cli: Cli) -> None:
    root = cli.file("root.pem", cli.done("ca", "init").out)
    cli.done("trust", "add", root, "--for", "Example.org", "--for", "example.net")
    (anchor,) = cli.done("trust", "list", "--json").json
    assert anchor["domains"] == ["example.net", "example.org"]
    assert "warning: " in cli.done("trust", "add", root).err


def test_a_person_is_no_authority(cli: Cli) -> None:
    alice = cli.file("alice.pem", cli.done("ca", "issue", "alice@example.test").out)
    assert "cert import --trust" in cli.refused("trust", "add", alice)


def test_an_authority_is_trusted_no_more(cli: Cli) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"][:12])
    assert cli.done("trust", "list", "--json").json == []
    assert "no trust anchor" in cli.refused("trust", "remove", "00000000")


def test_a_limit_that_is_no_domain_is_refused(cli: Cli) -> None:
    root = cli.file("root.pem", cli.done("ca", "init").out)
    assert "--for takes a domain" in cli.refused("trust", "add", root, "--for", "a b")


def test_without_limits_our_own_domains_are_left_out_and_the_warning_says_so(cli: Cli) -> None:
    root = cli.file("root.pem", pki.root(kind="p256").pem())
    assert "every domain but our own" in cli.done("trust", "add", root).err
    assert "everywhere but own domains" in cli.done("trust", "list").out
    assert "our own too" in cli.done("trust", "add", root, "--for-own").err
    assert "but own" not in cli.done("trust", "list").out
    cli.done("trust", "add", root, "--for-own", "--for", "example.org")
    assert "example.org, own domains" in cli.done("trust", "list").out


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_the_authorities_mozilla_trusts_for_mail(cli: Cli) -> None:
    require("nss-roots")
    first = cli.done("trust", "add", "--mozilla")
    listed = cli.done("trust", "list", "--json").json
    mozilla = [one for one in listed if one["source"] == "mozilla"]
    assert f"{len(mozilla)} authorities of Mozilla's list" in first.out
    assert f"{len(mozilla)} added" in first.out
    assert f"warning: every one of these {len(mozilla)} authorities" in first.err
    assert "but in our own domains (--for-own adds these)" in first.err
    assert {one["own_domains"] for one in mozilla} == {False}
    assert {bool(one["source_version"]) for one in mozilla} == {True}
    gone = mozilla[0]["certificate"]["fingerprint"]
    cli.done("trust", "remove", gone[:16], mozilla[1]["certificate"]["fingerprint"][:16])
    again = cli.done("trust", "add", "--mozilla", "--for-own")
    assert f"{len(mozilla) - 2} changed" in again.out
    assert "2 were removed by hand and stay away" in again.err
    done = cli.done("trust", "remove", "--mozilla")
    assert done.out.startswith(f"{len(mozilla) - 2} authorities")
    assert len(cli.done("trust", "list", "--json").json) == len(listed) - len(mozilla)


def test_a_module_that_is_none_changes_nothing(cli: Cli) -> None:
    before = cli.done("trust", "list").out
    junk = cli.file("junk.so", "junk")
    assert "cannot be used" in cli.refused("trust", "add", "--mozilla", "--module", junk)
    assert cli.done("trust", "list").out == before


@pytest.mark.parametrize(
    "line",
    [
        ["add"],
        ["add", "x.pem", "--mozilla"],
        ["add", "x.pem", "--module", "y"],
        ["remove"],
        ["remove", "0123456789", "--mozilla"],
    ],
)
def test_either_a_file_or_the_list(cli: Cli, line: list[str]) -> None:
    assert cli("trust", *line).code == 2


@pytest.mark.parametrize(("own", "badge"), [((), "yellow"), (("--for-own",), "green")])
def test_an_authority_of_the_world_does_not_speak_for_ourselves(
    cli: Cli, own: tuple[str, ...], badge: str
) -> None:
    world = pki.root("World", kind="p256")
    cli.done("trust", "add", cli.file("world.pem", world.pem()), *own)
    for address, expected in (("alice@example.test", badge), ("eve@example.org", "green")):
        someone = pki.person(world, address, kind="p256")
        mail = cli.file("mail.eml", signed(someone, address))
        verdict = cli.done("inspect", mail, "--json").json
        assert verdict["badge"] == expected
        (signer,) = verdict["layers"][0]["signers"]
        assert ("--for-own" in signer["reason"]) is (expected == "yellow")


def test_a_file_without_an_authority_is_named(cli: Cli) -> None:
    alone = pki.person(pki.root(kind="p256"), "p@example.org", kind="p256")
    path = cli.file("person.pem", alone.certificate.x509().public_bytes(Encoding.PEM))
    line = cli.refused("trust", "add", path)
    assert line.startswith(f"{path}: the file holds no certificate of an authority")


def test_anchors_of_the_settings_are_shown_and_judge_what_needs_no_store(empty: Cli) -> None:
    root = pki.root(kind="p256")
    someone = pki.person(root, "someone@example.org", kind="p256")
    file = empty.file("root.pem", root.pem())
    text = empty.settings.read_text()
    empty.settings.write_text(text + f'[trust]\nanchor_files = ["{file}"]\n')
    mail = empty.file("mail.eml", signed(someone, "someone@example.org"))
    assert empty.done("inspect", mail, "--json").json["signature"] == "pass"
    assert not empty.state.exists()
    (shown,) = empty.done("trust", "list", "--json").json
    assert (shown["source"], shown["added_at"]) == ("settings", None)
    assert "everywhere but own domains" in empty.done("trust", "list").out
    assert empty.done("inspect", mail, "--json").json["signature"] == "pass"
    refused = empty.refused("trust", "remove", shown["certificate"]["fingerprint"])
    assert "is declared in the settings" in refused
    file.write_text("nothing")
    assert empty.refused("check-config").startswith(f"trust.anchor_files: {file}: ")
