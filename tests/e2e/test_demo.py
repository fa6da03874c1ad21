"""`make run` as a stranger meets it: swaks and OpenSSL try every seed behaviour once."""

import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.proxy import ROOT
from tests.peers import require
from tests.ports import free_ports
from tests.sink import Sink, running
from tests.tied import tied

pytestmark = pytest.mark.e2e

START_SECONDS = 150  # a dozen commands, each a fresh interpreter, on a busy machine
STOP_SECONDS = 30
TEXT = "A line of text that arrives."
ALICE, BOB, TEAM = "alice@example.test", "bob@example.test", "team@example.test"
PARTNER, OUTSIDE = "partner@example.org", "someone@example.net"


@dataclass
class Demo:
    """A demo: its state, and the ports it was told at its last start."""

    state: Path
    ports: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.state.parent / "demo.log"

    def file(self, name: str) -> str:
        """Give the path of one of the files laid out for trying."""
        return str(self.state / "demo" / name)

    def start(self) -> None:
        """Start as `make run` does, on new ports, and wait until it says it is ready."""
        self.ports = free_ports(4)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [ROOT / "deploy/demo/run.sh", self.state, *map(str, self.ports)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied(),
            )
        until = time.monotonic() + START_SECONDS
        while not is_ready(self.ports[3]):
            assert time.monotonic() < until, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def stop(self, number: signal.Signals) -> int:
        """End it as Ctrl-C or an init system would; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def mails(self, side: str) -> dict[Path, bytes]:
        """Give what lies in a Maildir."""
        new = self.state / "mail" / side / "new"
        return {path: path.read_bytes() for path in new.iterdir()} if new.exists() else {}

    def swaks(
        self, side: str, sender: str, recipient: str, *more: str
    ) -> subprocess.CompletedProcess[str]:
        """Send one mail with swaks through the port of that side."""
        return swaks(self.ports[0 if side == "outbound" else 1], sender, recipient, *more)

    def send(self, side: str, sender: str, recipient: str, *more: str) -> bytes:
        """Send one mail that must be accepted, and give the one that arrived for it."""
        before = self.mails(side)
        sent = self.swaks(side, sender, recipient, *more)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        (arrived,) = (raw for path, raw in self.mails(side).items() if path not in before)
        return arrived


def swaks(port: int, sender: str, recipient: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Send one mail with swaks."""
    line = ("--server", f"127.0.0.1:{port}", "--from", sender, "--to", recipient, *more)
    return subprocess.run([require("swaks"), *line], capture_output=True, text=True, check=False)


def is_ready(port: int) -> bool:
    """Tell whether the service says it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    made = Demo(tmp_path_factory.mktemp("demo") / "var")
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def openssl(*arguments: str, message: bytes) -> bytes:
    """Run openssl on a message; its failure fails the test with what it said."""
    program = require("openssl")
    done = subprocess.run([program, *arguments], input=message, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def verified(demo: Demo, message: bytes) -> bytes:
    """Verify a signature against the demo's root; gives what was signed."""
    return openssl("cms", "-verify", "-CAfile", demo.file("root.pem"), message=message)


def encrypted(demo: Demo, recipient: str, tmp_path: Path) -> str:
    """Let OpenSSL encrypt a mail to an account; gives what swaks is told to send it."""
    name = recipient.partition("@")[0]
    header = ("-from", PARTNER, "-to", recipient, "-subject", "Secret")
    inner = f"Content-Type: text/plain\r\n\r\n{TEXT}\r\n".encode()
    raw = openssl("cms", "-encrypt", "-aes256", *header, demo.file(f"{name}.pem"), message=inner)
    assert TEXT.encode() not in raw
    path = tmp_path / "secret.eml"
    path.write_bytes(raw)
    return f"@{path}"


def test_mail_to_the_outside_leaves_signed(demo: Demo) -> None:
    arrived = demo.send("outbound", ALICE, OUTSIDE, "--body", TEXT)
    assert b"multipart/signed" in arrived
    assert TEXT.encode() in verified(demo, arrived)


def test_mail_to_the_partner_leaves_signed_and_encrypted(demo: Demo) -> None:
    arrived = demo.send("outbound", ALICE, PARTNER, "--body", TEXT)
    assert TEXT.encode() not in arrived
    keys = ("-recip", demo.file("partner.pem"), "-inkey", demo.file("partner.key"))
    signed = openssl("cms", "-decrypt", *keys, message=arrived)
    assert TEXT.encode() in verified(demo, signed)


def test_mail_of_the_team_leaves_signed_and_never_encrypted(demo: Demo) -> None:
    arrived = demo.send("outbound", TEAM, PARTNER, "--body", TEXT)
    assert TEXT.encode() in verified(demo, arrived)


@pytest.mark.parametrize("recipient", [ALICE, BOB])
def test_encrypted_mail_to_a_person_arrives_readable_and_private(
    demo: Demo, tmp_path: Path, recipient: str
) -> None:
    data = encrypted(demo, recipient, tmp_path)
    arrived = demo.send("inbound", PARTNER, recipient, "--data", data)
    header, _, text = arrived.partition(b"\r\n\r\n")
    assert text.strip() == TEXT.encode()
    assert b"\r\nSensitivity: Private\r\n" in header
    assert b"\r\nX-SMIME-Encryption: decrypted;" in header


def test_encrypted_mail_to_a_team_is_refused_in_the_dialogue(demo: Demo, tmp_path: Path) -> None:
    before = demo.mails("inbound")
    sent = demo.swaks("inbound", PARTNER, TEAM, "--data", encrypted(demo, TEAM, tmp_path))
    assert sent.returncode != 0
    assert "<** 550 5.7.4 " in sent.stdout
    assert TEAM in sent.stdout.partition("<** 550 5.7.4 ")[2]
    assert demo.mails("inbound") == before


def test_an_invitation_leaves_octet_for_octet_behind_one_received_field(demo: Demo) -> None:
    meeting = ("--data", f"@{demo.file('meeting.eml')}")
    with running(Sink()) as sink:
        # swaks ends what it sends with a line end of its own; this is what really leaves it.
        assert swaks(sink.port, ALICE, PARTNER, *meeting).returncode == 0
    raw = sink.messages[0].content
    assert raw.rstrip() == Path(demo.file("meeting.eml")).read_bytes().rstrip()
    sent = demo.send("outbound", ALICE, PARTNER, *meeting)
    assert sent.endswith(raw)
    added = sent.removesuffix(raw)
    assert added.startswith(b"Received: ")
    assert all(line[:1] in {b" ", b"\t"} for line in added.splitlines()[1:])


def test_ctrl_c_ends_it_and_a_second_start_finds_its_state(demo: Demo) -> None:
    files = {path: path.read_bytes() for path in (demo.state / "demo").iterdir()}
    mails = demo.mails("outbound")
    assert demo.stop(signal.SIGINT) == 0
    demo.start()
    assert {path: path.read_bytes() for path in (demo.state / "demo").iterdir()} == files
    assert mails.items() <= demo.mails("outbound").items()
    arrived = demo.send("outbound", ALICE, OUTSIDE, "--body", TEXT)
    assert TEXT.encode() in verified(demo, arrived)
    assert demo.stop(signal.SIGTERM) == 0
    assert "Traceback" not in demo.log.read_text()
