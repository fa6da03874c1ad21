"""No password, key or text is to be found where it should not be, and a search that would find it.

Invariants I5 and I17, row A19: logs with tracebacks, metrics, command lines, environments, state,
temporary files, open and mapped files.
"""

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from smime_proxy.message.parse import parse
from smime_proxy.smime.encrypt import encrypt_message, recipient_of
from tests.e2e.canary import found, of_folders, of_process
from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving
from tests.sink import Sink, running
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

DORA = "dora@example.test"
FAULTY = Path(__file__).with_name("faulty.py")
TEXTS = {
    "password of the upstream": b"canary-upstream-Xu3",
    "passphrase of a key file": b"canary-passphrase-Kp7",
    "password of a login": b"canary-login-Lq9",
    "guessed password": b"canary-guess-Gz5",
    "text sent encrypted": b"canary-text-sent-Ts1",
    "text decrypted": b"canary-text-opened-To2",
    "text of mail that broke": b"canary-text-broken-Tb4",
}


@dataclass
class Kept:
    """A service that has seen every secret, and where to look for them."""

    proxy: Proxy
    sink: Sink
    temporary: Path
    secrets: dict[str, bytes] = field(default_factory=lambda: dict(TEXTS))

    def places(self) -> Iterator[tuple[str, bytes]]:
        """Yield all that could be found while it runs; the master key's own file is its place."""
        for pid in (self.proxy.pid, *self.proxy.children()):
            yield from of_process(pid)
        yield "metrics", self.proxy.get("/metrics")[1].encode()
        yield from self.files()

    def files(self) -> Iterator[tuple[str, bytes]]:
        yield "log", self.proxy.log_file.read_bytes()
        folders = of_folders(self.proxy.state, self.temporary)
        yield from ((where, raw) for where, raw in folders if not where.endswith("/master.key"))


@pytest.fixture
def kept(tmp_path: Path, made: Made, tls: TlsFiles) -> Iterator[Kept]:
    temporary, password = tmp_path / "temporary", tmp_path / "password"
    temporary.mkdir()
    password.write_bytes(TEXTS["password of the upstream"] + b"\n")
    sink = Sink(tls=tls.server(), logins={"proxy": TEXTS["password of the upstream"].decode()})
    wrapper = ("env", f"TMPDIR={temporary}", sys.executable, FAULTY)
    with running(sink):
        upstream = (
            f'url = "smtp://localhost:{sink.port}"\ntls_ca_file = "{tls.ca}"\n'
            f'username = "proxy"\npassword_file = "{password}"'
        )
        listeners = {
            "out": Listener("outbound", "sink"),
            "local": Listener("outbound", "sink", 'auth = "local"'),
            "in": Listener("inbound", "sink", 'domains = ["example.test"]\nreports = "sink"'),
        }
        more = '[log]\nlevel = "debug"'
        design = Design({"sink": upstream}, listeners, workers=2, more=more)
        with serving(tmp_path / "proxy", made.state, design, wrapper) as proxy:
            master = (proxy.state / "master.key").read_bytes().strip()
            yield Kept(proxy, sink, temporary, {**TEXTS, "master key": master})


def import_key(kept: Kept, folder: Path) -> None:
    """Give dora a key from a file with a passphrase; a wrong one is tried first."""
    passphrase = TEXTS["passphrase of a key file"]
    kept.proxy.done("account", "add", DORA)
    certificate = kept.proxy.done("ca", "issue", DORA, "--out", folder / "dora.key")
    key = load_pem_private_key((folder / "dora.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    known = x509.load_pem_x509_certificate(certificate.encode())
    sealed = BestAvailableEncryption(passphrase)
    bundle = pkcs12.serialize_key_and_certificates(b"dora", key, known, None, sealed)
    (folder / "dora.p12").write_bytes(bundle)
    (folder / "right").write_bytes(passphrase + b"\n")
    (folder / "wrong").write_bytes(passphrase[::-1] + b"\n")
    line = ("account", "import-key", DORA, folder / "dora.p12", "--password-file")
    assert kept.proxy.command(*line, folder / "wrong").returncode == 1
    kept.proxy.done(*line, folder / "right")
    numbers = key.private_numbers()
    kept.secrets |= {
        "private exponent": numbers.d.to_bytes(key.key_size // 8, "big"),
        "prime": numbers.p.to_bytes(key.key_size // 16, "big"),
        "PKCS #8": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-64:],
    }


def log_in(kept: Kept, folder: Path) -> None:
    """Let alice log in with the right password and with a wrong one."""
    (folder / "login").write_bytes(TEXTS["password of a login"] + b"\n")
    words = ("account", "password", ALICE, "--password-file", folder / "login")
    kept.proxy.done(*words)

    def said(name: str) -> int:
        secret = b64encode(f"\0{ALICE}\0".encode() + TEXTS[name]).decode()
        with Client(kept.proxy.ports["local"]) as client:
            client.say("EHLO x")
            return client.say(f"AUTH PLAIN {secret}").code

    eventually(lambda: said("password of a login") == 235)
    assert said("guessed password") == 535


def write(text: bytes, sender: str, to: str, identifier: str = "1") -> bytes:
    head = f"From: {sender}\r\nTo: {to}\r\nMessage-ID: <{identifier}@x.example>\r\nSubject: x"
    return head.encode() + b"\r\n\r\n" + text + b"\r\n"


def test_i17_no_secret_is_anywhere_it_should_not_be(kept: Kept, made: Made, tmp_path: Path) -> None:
    """I5, I17, A19."""
    import_key(kept, tmp_path)
    log_in(kept, tmp_path)
    ports, sink = kept.proxy.ports, kept.sink
    for number in range(4):  # that each worker has seen some
        text = TEXTS["text sent encrypted"] + b"x" * number * 200_000
        sent = write(text, ALICE, PARTNER)
        assert deliver(ports["out"], ALICE, (PARTNER,), sent).code == 250
        assert b"enveloped-data" in sink.messages[-1].content
        to = x509.load_pem_x509_certificates((made.files / "alice.pem").read_bytes())[0]
        clear = write(TEXTS["text decrypted"], PARTNER, ALICE)
        inner = b"Content-Type: text/plain\r\n\r\n" + TEXTS["text decrypted"] + b"\r\n"
        recipient = recipient_of(to.public_bytes(Encoding.DER))
        header = parse(clear).header
        sealed = encrypt_message(header, inner, [recipient], random=os.urandom)
        assert deliver(ports["in"], PARTNER, (ALICE,), sealed).code == 250
        assert TEXTS["text decrypted"] in sink.messages[-1].content
        broken = write(TEXTS["text of mail that broke"], ALICE, PARTNER, "break")
        assert deliver(ports["out"], ALICE, (PARTNER,), broken).code == 451

    def is_signed() -> bool:
        assert (
            deliver(ports["out"], DORA, (OUTSIDE,), write(b"Hello", DORA, OUTSIDE, "2")).code == 250
        )
        return b"multipart/signed" in sink.messages[-1].content

    eventually(is_signed)
    assert "RuntimeError: nobody foresaw this" in kept.proxy.log()
    assert found(kept.secrets, kept.places()) == set()
    assert kept.proxy.stop() == 0
    assert found(kept.secrets, kept.files()) == set()


PLANTED = b"canary-planted-Pl8"
CHILD = """
import mmap, os, sys, tempfile
secret = sys.stdin.buffer.read()
held = tempfile.TemporaryFile()
held.write(secret); held.flush()
gone = tempfile.NamedTemporaryFile()
gone.write(secret); gone.flush()
shown = mmap.mmap(gone.fileno(), 0)
gone.close()
open(os.path.join(sys.argv[1], "left"), "wb").write(secret)
print("ready", flush=True)
sys.stdout.close()
os.read(int(sys.argv[2]), 1)
"""


def test_what_looks_for_secrets_finds_them_wherever_they_are(tmp_path: Path) -> None:
    """A process that leaks in every way, or the test above would prove nothing."""
    ours, its = os.pipe()
    line = [sys.executable, "-c", CHILD, str(tmp_path), str(ours), PLANTED.decode()]
    child = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[ours],
        env={**os.environ, "LEAK": b64encode(PLANTED).decode()},
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(PLANTED)
        child.stdin.close()
        assert child.stdout.readline() == b"ready\n"
        places = [*of_process(child.pid), *of_folders(tmp_path), ("log", PLANTED.hex().encode())]
        leaking = found({"secret": PLANTED}, places)
    finally:
        os.close(its)
        os.close(ours)
        child.wait(30)
    kinds = ("/cmdline", "/environ", "/fd/", "/map_files/", "/left", "log")
    missed = [kind for kind in kinds if not any(kind in where for where in leaking)]
    assert missed == []
