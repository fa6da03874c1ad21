"""Whole messages with OpenSSL, both directions: `openssl cms` and the older `openssl smime`."""

import subprocess
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from smime_proxy.smime.inspect import inspect
from tests import pki
from tests.interop import exchange
from tests.interop.exchange import BODIES, KINDS, TEXT
from tests.peers import require

pytestmark = pytest.mark.interop
OPENSSL = require("openssl")
PROGRAMS = ("cms", "smime")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openssl")
    (folder / "root.pem").write_bytes(exchange.root().pem())
    (folder / "issuing.pem").write_bytes(exchange.issuing().pem())
    people = {kind: exchange.sender(kind) for kind in KINDS}
    people |= {name: exchange.reader(name) for name in exchange.READERS}
    for name, person in people.items():
        (folder / f"{name}.pem").write_bytes(person.pem())
        (folder / f"{name}.key").write_bytes(person.key_pem())
    (folder / "text").write_bytes(TEXT)
    return folder


def run(files: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [OPENSSL, *arguments],
        cwd=files,
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
    )


def openssl(files: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = run(files, *arguments, given=given)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def verified(files: Path, message: bytes, program: str = "cms") -> bytes:
    done = run(files, program, "-verify", "-CAfile", "root.pem", given=message)
    assert done.returncode == 0, done.stderr.decode()
    assert b"successful" in done.stderr
    return done.stdout


@pytest.mark.parametrize("body", BODIES)
def test_openssl_verifies_and_shows_every_kind_of_mail_signed_here(files: Path, body: str) -> None:
    """E31-E35; after a trip through mailboxes with LF as well."""
    message = exchange.mail("rsa", BODIES[body])
    signed = exchange.signed_here(message, "rsa")
    assert signed.isascii()
    assert max(map(len, signed.split(b"\r\n"))) <= 998
    shown = verified(files, signed)
    assert exchange.leaves(shown) == exchange.leaves(message)
    assert shown == exchange.split_signed(signed)[0]
    assert verified(files, signed.replace(b"\r\n", b"\n")) == shown


@pytest.mark.parametrize(("program", "kind"), list(product(PROGRAMS, KINDS)))
def test_openssl_verifies_and_names_every_kind_of_signer(
    files: Path, program: str, kind: str
) -> None:
    """E39: the root alone is trusted, so the intermediate came with the mail."""
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    verified(files, signed, program)
    # Its -text prints the text without the header of the part.
    plain = exchange.signed_here(exchange.mail(kind, TEXT), kind)
    shown = openssl(
        files, program, "-verify", "-CAfile", "root.pem", "-text", "-signer", "found.pem",
        given=plain,
    )  # fmt: skip
    assert shown == b"For your eyes only.\r\n"
    assert (files / "found.pem").read_bytes() == exchange.sender(kind).pem()


@pytest.mark.parametrize("kind", KINDS)
def test_altered_mail_fails_with_openssl_and_here(files: Path, kind: str) -> None:
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    changed = exchange.altered(signed)
    assert run(files, "cms", "-verify", "-CAfile", "root.pem", given=changed).returncode != 0
    assert exchange.received(signed, at=pki.NOW).report.signature == "pass"
    assert exchange.received(changed, at=pki.NOW).report.signature == "fail"


@pytest.mark.parametrize("program", PROGRAMS)
def test_openssl_decrypts_for_each_reader_and_finds_the_signature_inside(
    files: Path, program: str
) -> None:
    for kind, body in zip(
        KINDS, ("plain", "8-bit", "binary", "long lines", "attachments"), strict=True
    ):
        message = exchange.mail(kind, BODIES[body])
        sealed = exchange.signed_and_encrypted_here(message, kind)
        for name in exchange.READERS:
            opened = openssl(
                files, program, "-decrypt", "-recip", f"{name}.pem", "-inkey", f"{name}.key",
                given=sealed,
            )  # fmt: skip
            assert exchange.leaves(verified(files, opened)) == exchange.leaves(message)


def test_openssl_reads_what_is_only_encrypted_and_strangers_read_nothing(files: Path) -> None:
    message = exchange.mail("rsa", BODIES["8-bit"])
    sealed = exchange.encrypted_here(message, ["bob"])
    key = ("-recip", "bob.pem", "-inkey", "bob.key")
    assert exchange.leaves(openssl(files, "cms", "-decrypt", *key, given=sealed)) == (
        exchange.leaves(message)
    )
    stranger = ("-recip", "carol.pem", "-inkey", "carol.key")
    assert run(files, "cms", "-decrypt", *stranger, given=sealed).returncode != 0


def test_a_signer_below_no_trusted_root_is_refused_by_openssl_and_policy_here(files: Path) -> None:
    """V6."""
    signed = exchange.signed_here(exchange.mail("stranger", TEXT), "stranger")
    assert run(files, "cms", "-verify", "-CAfile", "root.pem", given=signed).returncode != 0
    assert exchange.received(signed, at=pki.NOW).report.signature == "policy"


CLEAR = {
    "by default": (),
    "streamed": ("-stream",),
    "with CRLF": ("-crlfeol",),
    "octets as they are": ("-binary",),
    "by key identifier": ("-keyid",),
    "without attributes": ("-noattr",),
    "sha384": ("-md", "sha384"),
    "sha512": ("-md", "sha512"),
    "sha224": ("-md", "sha224"),
    "opaque": ("-nodetach",),
    "opaque and streamed": ("-nodetach", "-stream", "-keyid"),
    "opaque without attributes": ("-nodetach", "-noattr"),
}


@pytest.mark.parametrize("form", CLEAR)
@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_mail_that_openssl_signs_passes_here(files: Path, kind: str, form: str) -> None:
    """E45-E49."""
    message = openssl_signed(files, kind, *CLEAR[form])
    expected = Protection.SIGNED_DATA if "-nodetach" in CLEAR[form] else Protection.CLEAR_SIGNED
    assert classify(parse(message)) is expected
    for line_end in (b"\n", b"\r\n"):
        wire = message.replace(b"\r\n", b"\n").replace(b"\n", line_end)
        report = exchange.received(wire).report
        assert (report.signature, report.reason) == ("pass", "")
        assert (report.badge, report.lock, report.encryption) == ("green", "none", "none")


def openssl_signed(files: Path, kind: str, *options: str, given: bytes = TEXT) -> bytes:
    """Let OpenSSL write a signed message from a sender, dated now."""
    entity = openssl(
        files, "cms", "-sign", "-signer", f"{kind}.pem", "-inkey", f"{kind}.key", "-certfile",
        "issuing.pem", *options, given=given,
    )  # fmt: skip
    return headed(kind, entity)


def headed(kind: str, entity: bytes) -> bytes:
    """Put the header of a message before what OpenSSL writes, in its line ends."""
    header = exchange.mail(kind, b"", exchange.now()).replace(b"MIME-Version: 1.0\r\n", b"")
    line_end = b"\r\n" if entity.startswith(b"MIME-Version: 1.0\r\n") else b"\n"
    return header.replace(b"\r\n", line_end) + entity


def test_a_signature_over_lf_passes_as_long_as_the_mail_has_lf(files: Path) -> None:
    """E49: -binary signs line ends as they are; in CRLF nobody could tell any more."""
    message = openssl_signed(files, "rsa", "-binary", given=TEXT.replace(b"\r\n", b"\n"))
    assert exchange.received(message).report.signature == "pass"
    wire = message.replace(b"\n", b"\r\n")
    assert exchange.received(wire).report.signature == "fail"
    assert run(files, "cms", "-verify", "-CAfile", "root.pem", given=wire).returncode != 0


def test_weak_digests_of_openssl_are_policy_or_fail_here(files: Path) -> None:
    """E56, V12."""
    sha1 = exchange.received(openssl_signed(files, "rsa", "-md", "sha1")).report
    assert (sha1.signature, sha1.reason) == ("policy", "weak: sha1 with rsassa_pkcs1v15")
    md5 = exchange.received(openssl_signed(files, "rsa", "-md", "md5")).report
    assert (md5.signature, md5.badge) == ("fail", "red")


@pytest.mark.parametrize("form", ["by default", "without attributes", "opaque", "streamed"])
def test_mail_of_openssl_that_was_altered_fails_here(files: Path, form: str) -> None:
    message = openssl_signed(files, "rsa", *CLEAR[form])
    if "-nodetach" in CLEAR[form]:
        der = exchange.cms_of(message)
        message = exchange.opaque("rsa", der.replace(b"your eyes", b"their eye"))
    else:
        message = message.replace(b"your eyes", b"their eye")
    assert exchange.received(message).report.signature == "fail"
    done = run(files, "cms", "-verify", "-CAfile", "root.pem", given=message)
    assert done.returncode != 0


def test_all_of_several_signers_must_hold(files: Path) -> None:
    """E17, V14: the second one's address is not in From, so policy; From's own alone pass."""
    message = openssl_signed(files, "rsa", "-signer", "p256.pem", "-inkey", "p256.key")
    assert verified(files, message) == TEXT
    found = exchange.received(message)
    (layer,) = found.report.layers
    assert sorted(signer.result for signer in layer.signers) == ["pass", "policy"]
    assert found.report.signature == "policy"
    changed = exchange.received(message.replace(b"eyes only", b"eyes, oh"))
    assert changed.report.signature == "fail"


def test_a_stranger_and_another_sender_are_policy(files: Path) -> None:
    """V6, V10."""
    message = openssl_signed(files, "rsa")
    other = message.replace(exchange.address("rsa").encode(), b"ceo@sender.test", 1)
    assert exchange.received(other).report.signature == "policy"
    untrusted = run(files, "cms", "-verify", "-CAfile", "bob.pem", given=message)
    assert untrusted.returncode != 0
    bare = inspect(message, keys=(), trust=exchange.trust(), at=exchange.now()).as_json()
    assert (bare["signature"], bare["content_type"]) == ("pass", "text/plain")


def test_without_its_certificate_a_signature_is_judged_by_the_stored_one(files: Path) -> None:
    """E58, V5."""
    entity = openssl(
        files, "cms", "-sign", "-signer", "rsa.pem", "-inkey", "rsa.key", "-nocerts",
        "-certfile", "issuing.pem", given=TEXT,
    )  # fmt: skip
    message = headed("rsa", entity)
    assert exchange.received(message).report.signature == "permerror"
    known = exchange.trust(exchange.sender("rsa"), exchange.issuing())
    found = inspect(message, keys=(), trust=known, at=exchange.now()).as_json()
    (signer,) = found["layers"][0]["signers"]  # type: ignore[index]
    assert (signer["integrity"], signer["identity"]) == ("intact", "match")


CIPHERS = {
    "-aes128": ("aes128_cbc", "green"),
    "-aes192": ("aes192_cbc", "green"),
    "-aes256": ("aes256_cbc", "green"),
    "-des3": ("tripledes_3key", "yellow"),
}


@pytest.mark.parametrize(
    ("cipher", "options"), list(product(CIPHERS, [(), ("-stream", "-keyid")])), ids=str
)
def test_mail_that_openssl_signs_and_encrypts_is_opened_here(
    files: Path, cipher: str, options: tuple[str, ...]
) -> None:
    """E45, E50, E54, V17, V24."""
    inner = openssl(
        files, "cms", "-sign", "-signer", "rsa.pem", "-inkey", "rsa.key", "-certfile",
        "issuing.pem", given=TEXT,
    )  # fmt: skip
    entity = openssl(
        files, "cms", "-encrypt", cipher, *options, "carol.pem", "bob.pem", given=inner
    )
    message = headed("rsa", entity)
    assert classify(parse(message)) is Protection.ENVELOPED_DATA
    for name in exchange.READERS:
        found = exchange.received(message, name)
        report = found.report
        assert (report.signature, report.encryption) == ("pass", "decrypted")
        assert (report.algorithm, report.lock) == CIPHERS[cipher]
        delivered = found.message(parse(message).header, ())
        assert exchange.leaves(delivered)[0] == ("text/plain", b"For your eyes only.\r\n")
        assert verified(files, delivered) == TEXT
    stranger = exchange.received(message)
    assert (stranger.report.encryption, stranger.report.lock) == ("undecryptable", "red")
    assert stranger.message(parse(message).header, ()) == message


def test_a_triple_wrapped_mail_is_judged_by_its_innermost_signature(files: Path) -> None:
    """E18, V18, V19."""
    sign = ("cms", "-sign", "-signer", "rsa.pem", "-inkey", "rsa.key", "-certfile", "issuing.pem")
    inner = openssl(files, *sign, "-nodetach", given=TEXT)
    middle = openssl(files, "cms", "-encrypt", "-aes256", "bob.pem", given=inner)
    message = headed("rsa", openssl(files, *sign, given=middle))
    report = exchange.received(message, "bob").report
    assert [layer.protection.value for layer in report.layers] == [
        "clear-signed",
        "enveloped-data",
        "signed-data",
    ]
    assert (report.signature, report.encryption) == ("pass", "decrypted")
    outside = openssl(files, "cms", "-encrypt", "-aes256", "bob.pem", given=TEXT)
    around = headed("rsa", openssl(files, *sign, given=outside))
    assert exchange.received(around, "bob").report.signature == "policy"


def test_certificates_only_mail_of_openssl_is_nothing_signed(files: Path) -> None:
    """V30."""
    der = openssl(
        files, "crl2pkcs7", "-nocrl", "-certfile", "rsa.pem", "-certfile", "issuing.pem",
        "-outform", "DER",
    )  # fmt: skip
    message = exchange.opaque("rsa", der, "certs-only")
    assert classify(parse(message)) is Protection.CERTS_ONLY
    report = exchange.received(message).report
    assert (report.signature, report.encryption, report.badge) == ("none", "none", "none")
    pem = openssl(files, "crl2pkcs7", "-nocrl", "-certfile", "rsa.pem")
    bare = inspect(pem, keys=(), trust=exchange.trust(), at=exchange.now()).as_json()
    assert bare["layers"] == [{"kind": "certs-only"}]


@pytest.mark.parametrize(
    "options",
    [
        ("rsa_padding_mode:pss",),
        ("rsa_padding_mode:pss", "rsa_pss_saltlen:20"),
        ("rsa_padding_mode:pss", "rsa_mgf1_md:sha1"),
    ],
)
def test_rsassa_pss_of_openssl_passes(files: Path, options: tuple[str, ...]) -> None:
    """E56."""
    told = [word for option in options for word in ("-keyopt", option)]
    signed = openssl_signed(files, "rsa", *told)
    report = exchange.received(signed).report
    assert (report.signature, report.badge) == ("pass", "green")
    assert [s.report.signature for s in report.layers[0].signers] == ["rsassa_pss"]


def test_labels_and_times_are_what_thunderbird_and_outlook_know() -> None:
    """E36: Thunderbird fails a signing time an hour from Date, so it is left out before that."""
    signing_time = bytes.fromhex("06092a864886f70d010905")
    for kind, micalg in zip(KINDS, ("256", "256", "256", "384", "512"), strict=True):
        signed = exchange.signed_here(exchange.mail(kind, TEXT), kind)
        assert b"micalg=sha-" + micalg.encode() in signed
        assert b'protocol="application/pkcs7-signature"' in signed
        assert b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n' in signed
        assert b'Content-Disposition: attachment; filename="smime.p7s"\r\n' in signed
        assert signing_time in exchange.split_signed(signed)[1]
    for minutes, written in ((50, True), (-50, True), (51, False), (-51, False)):
        late = exchange.signed_here(
            exchange.mail("rsa", TEXT), "rsa", pki.NOW + timedelta(minutes=minutes)
        )
        assert (signing_time in exchange.split_signed(late)[1]) is written
    undated = exchange.mail("rsa", TEXT).replace(b"\r\nDate: ", b"\r\nX-Date: ")
    signature = exchange.split_signed(exchange.signed_here(undated, "rsa"))[1]
    assert signing_time not in signature
    sealed = exchange.encrypted_here(exchange.mail("rsa", TEXT))
    assert b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n" in sealed
    assert b'\tname="smime.p7m"\r\nContent-Transfer-Encoding: base64\r\n' in sealed
    assert b'Content-Disposition: attachment; filename="smime.p7m"\r\n' in sealed
