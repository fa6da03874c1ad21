"""deploy/dovecot behind the MX hook of deploy/kubernetes: badge and lock become flags and keywords.

RFC 2033 (LMTP), RFC 3501 2.3.2, RFC 5232 (imap4flags).
"""

import contextlib
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import pki
from tests.deploy.objects import read, rendering
from tests.deploy.pods import place, put, serving
from tests.deploy.test_kubernetes import FOLDER, kustomize
from tests.dovecot import Store, dovecot
from tests.e2e.proxy import Proxy
from tests.peers import require
from tests.ports import HOST, free_port
from tests.tls_files import TlsFiles, make_tls_files

DOVECOT = FOLDER.parent / "dovecot"
SCRIPT, INSTALLED = DOVECOT / "smime-proxy.sieve", "/etc/dovecot/sieve/smime-proxy.sieve"
ALICE, PAT = "alice@example.com", "pat@example.org"
BOB = "bob@example.com"  # has a script of his own, and no account
TEXT = b"Content-Type: text/plain\r\n\r\nfour words of text\r\n"
FORGED = "X-SMIME-Badge: green\r\nX-SMIME-Lock: green\r\n"
OWN_SCRIPT = """
require ["fileinto", "imap4flags", "mailbox"];
if header :contains "Subject" "own flag" { addflag "mine"; }
if header :contains "Subject" "set flag" { setflag "only"; }
if header :contains "Subject" "filed" { fileinto :create "Archive"; }
"""


@dataclass(frozen=True, slots=True)
class House:
    """The service of the MX hook, the store behind it, and who writes."""

    proxy: Proxy
    store: Store
    root: pki.Identity
    pat: pki.Identity
    alice: pki.Identity
    folder: Path

    def openssl(self, text: bytes, *words: str, subject: str, to: str = ALICE) -> bytes:
        """Write a mail of Pat's with `openssl cms`."""
        line = ["cms", *words, "-from", PAT, "-to", to, "-subject", subject, "-crlfeol"]
        tail = [self.file("alice.pem", self.alice.pem())] if "-encrypt" in words else []
        done = subprocess.run(
            [require("openssl"), *line, *tail], input=text, capture_output=True, check=True
        )
        return done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def sign(self, subject: str, signer: pki.Identity, to: str = ALICE) -> bytes:
        pem = self.file("signer.pem", signer.chain_pem() + signer.key_pem())
        return self.openssl(TEXT, "-sign", "-signer", pem, subject=subject, to=to)

    def file(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def send(self, mail: bytes, to: str = ALICE, port: int = 0) -> None:
        """Hand mail in by LMTP, to the service or to another port."""
        with smtplib.LMTP(HOST, port or self.proxy.ports["mx"]) as client:
            assert client.sendmail(PAT, [to], mail) == {}

    def flags(self, subject: str, to: str = ALICE, mailbox: str = "INBOX") -> set[str]:
        """Give the flags an IMAP client sees, but that it is recent."""
        line = ["-c", str(self.store.folder / "dovecot.conf"), "-f", "tab", "fetch", "-u", to]
        done = subprocess.run(
            ["doveadm", *line, "flags", "mailbox", mailbox, "header", "subject", subject],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        (heading, found) = done.stdout.splitlines()
        assert heading == "flags", done
        return set(found.split()) - {"\\Recent"}


def shipped(port: int, script: Path) -> str:
    """Give the shipped lines of configuration with port and script of the test's own."""
    lines = (DOVECOT / "smime-proxy.conf").read_text(encoding="utf-8")
    assert "port = 24\n" in lines
    assert f"sieve_before = {INSTALLED}\n" in lines
    return lines.replace("port = 24\n", f"port = {port}\n").replace(INSTALLED, str(script))


@contextlib.contextmanager
def sieving(port: int, tls: TlsFiles) -> Iterator[Store]:
    """Run Dovecot with the shipped configuration and script, as an administrator installs them."""
    folder = Path(tempfile.mkdtemp(prefix="sieve-"))  # pytest's are closed to the store's user
    folder.chmod(0o755)
    script, own = folder / "smime-proxy.sieve", folder / "own.sieve"
    shutil.copy(SCRIPT, script)
    own.write_text(OWN_SCRIPT)
    for one in (script, own):
        subprocess.run([require("dovecot-sieve"), one], check=True)
    more = f"plugin {{\n  sieve = file:{folder}/%n.sieve\n}}\n"
    more += f"ssl = yes\nssl_cert = <{tls.certificate}\nssl_key = <{tls.key}\n"
    own.rename(folder / "bob.sieve")
    own.with_suffix(".svbin").rename(folder / "bob.svbin")
    try:
        with dovecot({ALICE: 0, BOB: 0}, shipped(port, script) + more) as store:
            yield store
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    require("dovecot-sieve")
    folder, port = tmp_path_factory.mktemp("mx"), free_port()
    root = pki.root("Test Partner CA")
    pat, alice = pki.person(root, PAT), pki.person(root, ALICE)
    put(
        folder / "mounts" / "keys",
        {"alice.p12": alice.pkcs12(b"secret"), "alice.password": b"secret\n"},
    )
    put(folder / "mounts" / "anchors", {"anchors.pem": root.pem()})
    found = rendering(read(kustomize(FOLDER / "overlays" / "mx")))
    tls = make_tls_files(folder)
    there = {"URL": f"lmtp://{HOST}:{port}", "TLS_CA_FILE": str(tls.ca)}
    moved = {f"UPSTREAMS__MAILSTORE__{key}": value for key, value in there.items()}
    proxy = place(found, folder, moved)
    with sieving(port, tls) as store, serving(proxy):
        yield House(proxy, store, root, pat, alice, folder)


def test_a_good_signature_is_a_keyword(house: House) -> None:
    house.send(house.sign("good", house.pat))
    assert house.flags("good") == {"$SIGNED"}


def test_an_altered_text_is_flagged_for_every_client(house: House) -> None:
    house.send(house.sign("altered", house.pat).replace(b"four words", b"five words"))
    assert house.flags("altered") == {"$SMIMEBroken", "\\Flagged"}


def test_a_signature_nobody_vouches_for_is_doubtful(house: House) -> None:
    house.send(house.sign("stranger", pki.person(pki.root("Stranger CA"), PAT)))
    assert house.flags("stranger") == {"$SMIMEDoubtful"}


@pytest.mark.parametrize(
    ("cipher", "expected"),
    [("-aes256", {"$ENCRYPTED"}), ("-des3", {"$ENCRYPTED", "$SMIMEWeak"})],
)
def test_what_came_encrypted_lies_there_readable_with_a_keyword(
    house: House, cipher: str, expected: set[str]
) -> None:
    subject = f"sealed {cipher}"
    house.send(house.openssl(TEXT, "-encrypt", cipher, subject=subject))
    assert house.flags(subject) == expected
    (lies,) = (
        raw
        for file in (house.store.folder / "mail" / ALICE / "cur").iterdir()
        if f"Subject: {subject}\n".encode() in (raw := file.read_bytes())
    )
    assert b"\nfour words of text\n" in lies


def test_what_nobody_here_can_open_is_locked(house: House) -> None:
    house.send(house.openssl(TEXT, "-encrypt", "-aes256", subject="locked", to=BOB), BOB)
    assert house.flags("locked", BOB) == {"$SMIMELocked"}


def test_signed_and_encrypted_has_both(house: House) -> None:
    inner = house.sign("both", house.pat)
    house.send(house.openssl(inner, "-encrypt", "-aes256", subject="both"))
    assert house.flags("both") == {"$SIGNED", "$ENCRYPTED"}


def test_fields_a_stranger_writes_set_nothing(house: House) -> None:
    plain = f"From: {PAT}\r\nTo: {ALICE}\r\nSubject: forged\r\n{FORGED}\r\nHello\r\n".encode()
    house.send(plain)
    assert house.flags("forged") == set()


def test_a_second_badge_counts_as_none(house: House) -> None:
    port = house.store.port  # straight to the store, where nobody removes anything
    twice = f"From: {PAT}\r\nSubject: twice\r\n{FORGED}{FORGED}\r\nHello\r\n".encode()
    house.send(twice, port=port)
    assert house.flags("twice") == set()


def test_a_user_s_own_script_has_the_keywords(house: House) -> None:
    house.send(house.sign("own flag", house.pat, BOB), BOB)
    assert house.flags("own flag", BOB) == {"$SIGNED", "mine"}
    house.send(house.sign("set flag", house.pat, BOB), BOB)
    assert house.flags("set flag", BOB) == {"only"}
    house.send(house.sign("filed", house.pat, BOB), BOB)
    assert house.flags("filed", BOB, "Archive") == {"$SIGNED"}
