"""Whole messages with Bouncy Castle's S/MIME API, both directions, in one Java process."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from tests import pki
from tests.interop import exchange
from tests.interop.exchange import BODIES, KINDS, LARGE, TEXT
from tests.peers import locate, require

pytestmark = pytest.mark.interop
require("bouncycastle")

SOURCE = Path(__file__).with_name("BouncyCastle.java")
JARS = ("bcmail", "bcpkix", "bcutil", "bcprov", "javax.mail")
# Enough for a handful of small messages, and quicker to start.
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")
ALGORITHMS = {
    "rsa": "SHA256withRSA",
    "rsa3072": "SHA512withRSA",
    "p256": "SHA256withECDSA",
    "p384": "SHA384withECDSA",
    "p521": "SHA512withECDSA",
}


@dataclass(frozen=True)
class BouncyCastle:
    """The process and the folder in which files are exchanged with it."""

    process: subprocess.Popen[str]
    folder: Path

    def ask(self, *words: str) -> str:
        """Ask one thing; give the answer, which begins with `ok` or `error`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer, (self.folder / "stderr").read_text(encoding="utf-8")
        return answer

    def __call__(self, *words: str) -> str:
        answer = self.ask(*words)
        assert answer.startswith("ok\t"), answer
        return answer.removeprefix("ok\t")

    def given(self, content: bytes) -> str:
        (self.folder / "in").write_bytes(content)
        return "in"

    def out(self) -> bytes:
        return (self.folder / "out").read_bytes()

    def verify(self, message: bytes) -> tuple[str, bytes]:
        """Give what is said of the signers, and the content they signed."""
        return self("verify", self.given(message), "root.der", "out"), self.out()

    def sign(
        self, kinds: list[str], options: str = "", *, algorithm: str = "", content: bytes = TEXT
    ) -> bytes:
        """Give a message signed by senders, from the first of them, dated now."""
        signers = [
            word
            for kind in kinds
            for word in (f"{kind}.key", f"{kind}.der", algorithm or ALGORITHMS[kind])
        ]
        self("sign", self.given(content), "out", options, *signers, "--", "issuing.der")
        return headed(kinds[0], self.out())

    def encrypt(self, inner: bytes, kind: str, cipher: str, options: str = "") -> bytes:
        """Give a message to all readers."""
        readers = [f"{name}.der" for name in exchange.READERS]
        self("encrypt", self.given(inner), "out", cipher, options, *readers)
        return headed(kind, self.out())

    def decrypt(self, message: bytes, name: str) -> bytes:
        self("decrypt", self.given(message), "out", f"{name}.key", f"{name}.der")
        return self.out()


def headed(kind: str, entity: bytes) -> bytes:
    """Put the header of a message before what Bouncy Castle wrote."""
    header = exchange.mail(kind, b"", exchange.now())
    return header.replace(b"MIME-Version: 1.0\r\n", b"") + entity


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BouncyCastle]:
    folder = tmp_path_factory.mktemp("bouncycastle")
    people = {kind: exchange.sender(kind) for kind in KINDS}
    people |= {name: exchange.reader(name) for name in exchange.READERS}
    people |= {"root": exchange.root(), "issuing": exchange.issuing()}
    for name, person in people.items():
        (folder / f"{name}.der").write_bytes(person.der)
        (folder / f"{name}.key").write_bytes(person.key_der())
    path = ":".join(f"/usr/share/java/{name}.jar" for name in JARS)
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(
            [str(locate("java")), *JAVA_OPTIONS, "-cp", path, str(SOURCE)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield BouncyCastle(process, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_bouncycastle_validates_every_kind_of_signer(peer: BouncyCastle, kind: str) -> None:
    """Its validator looks at the signature, the chain, the key usage and the address in From."""
    signed = exchange.signed_here(exchange.mail(kind, BODIES["attachments"]), kind)
    assert peer.verify(signed)[0] == f"CN={exchange.address(kind)} good valid;"
    assert peer.verify(exchange.altered(signed))[0] == (f"CN={exchange.address(kind)} bad invalid;")


@pytest.mark.parametrize("body", BODIES)
def test_bouncycastle_reads_every_kind_of_mail(peer: BouncyCastle, body: str) -> None:
    message = exchange.mail("rsa", BODIES[body])
    told, content = peer.verify(exchange.signed_here(message, "rsa"))
    assert told == "CN=rsa@sender.test good valid;"
    assert exchange.leaves(content) == exchange.leaves(message)
    sealed = exchange.signed_and_encrypted_here(message, "p384")
    told, content = peer.verify(headed("p384", peer.decrypt(sealed, "bob")))
    assert told.startswith("CN=p384@sender.test good")
    assert exchange.leaves(content) == exchange.leaves(message)
    opened = peer.decrypt(exchange.encrypted_here(message), "carol")
    assert exchange.leaves(opened) == exchange.leaves(message)


def test_bouncycastle_refuses_strangers_and_borrowed_names(peer: BouncyCastle) -> None:
    """V6, V10: its verdicts are those found here."""
    stranger = exchange.signed_here(exchange.mail("stranger", TEXT), "stranger")
    assert peer.verify(stranger)[0] == "CN=stranger@sender.test good invalid;"
    signed = exchange.signed_here(exchange.mail("rsa", TEXT), "rsa")
    borrowed = signed.replace(b"rsa@sender.test", b"ceo@sender.test", 1)
    assert peer.verify(borrowed)[0] == "CN=rsa@sender.test good invalid;"
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
    message = peer.sign([kind], form)
    expected = Protection.SIGNED_DATA if "opaque" in form else Protection.CLEAR_SIGNED
    assert classify(parse(message)) is expected
    report = exchange.received(message).report
    assert (report.signature, report.reason, report.badge) == ("pass", "", "green")
    if expected is Protection.CLEAR_SIGNED:
        changed = exchange.received(exchange.altered(message)).report
        assert (changed.signature, changed.badge) == ("fail", "red")


def test_weak_and_broken_digests_of_bouncycastle(peer: BouncyCastle) -> None:
    """E56, V12."""
    sha1 = exchange.received(peer.sign(["rsa"], algorithm="SHA1withRSA")).report
    assert (sha1.signature, sha1.badge) == ("policy", "yellow")
    md5 = exchange.received(peer.sign(["rsa"], algorithm="MD5withRSA")).report
    assert (md5.signature, md5.badge) == ("fail", "red")
    pss = exchange.received(peer.sign(["rsa"], algorithm="SHA256withRSAandMGF1")).report
    assert (pss.signature, pss.badge) == ("pass", "green")


def test_several_signers_of_bouncycastle_are_all_judged(peer: BouncyCastle) -> None:
    """E17, V14: only the first one's address is in From."""
    report = exchange.received(peer.sign(["rsa", "p256", "p384"])).report
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
    signed = peer.sign(["p256"], "opaque" if options else "detached", content=LARGE)
    # Only the Content-* fields and what is behind them are encrypted.
    message = peer.encrypt(signed[signed.index(b"Content-Type:") :], "p256", cipher, options)
    assert classify(parse(message)) is Protection.ENVELOPED_DATA
    for name in exchange.READERS:
        report = exchange.received(message, name).report
        assert (report.signature, report.encryption) == ("pass", "decrypted")
        assert (report.algorithm, report.lock) == CIPHERS[cipher]
    assert exchange.received(message).report.encryption == "undecryptable"
