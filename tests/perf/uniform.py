"""Whether the reply tells why decryption failed, by its time: invariant I16.

Run as `python -m tests.perf.uniform [--messages 500]`. Mail that cannot be opened goes through a
running service, the causes one after another in random order; of each cause the times from the
final dot to the reply are held against those of another by Kolmogorov and Smirnov's two-sample
test. Who is addressed stands in clear in the message, so that row and mail that opens are only
shown: they tell that the measure tells something.
"""

import argparse
import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.envelop import envelop
from tests.perf.processes import running
from tests.perf.service import SENDER, command, serving
from tests.ports import free_port
from tests.unit.cms import made, parties
from tests.unit.smime.cases import cms, message

VARIANTS = 16  # messages for each cause, so that no single one's octets decide
LEAST_P = 0.01  # I16
TEXT = b"Content-Type: text/plain\r\n\r\n" + b"What stands here is of no matter.\r\n" * 60
INBOUND = """
[listeners.mx]
role = "inbound"
bind = "127.0.0.1:{port}"
upstream = "sink"
domains = ["example.test"]
reports = "sink"

[service]
hostname = "proxy.example.test"
state_dir = "{state}"

[admin]
bind = ""

[status]
bind = ""

[log]
level = "error"

[upstreams.sink]
url = "smtp://127.0.0.1:{sink}"
tls = "never"
"""


def _under(name: str, key: bytes) -> bytes:
    own = parties.party("rsa", name).key
    assert isinstance(own, rsa.RSAPrivateKey)
    return own.public_key().encrypt(key, padding.PKCS1v15())


def cbc() -> dict[str, bytes]:
    """Give one EnvelopedData a cause."""
    key = os.urandom(32)
    content = made.encrypted_content(TEXT, key)
    unpadded = made.encrypted_content(
        TEXT[: len(TEXT) // 16 * 16] + b"\xff" * 16, key, padded=False
    )
    bob = read_certificate(parties.party("rsa", "bob").der).issuer_and_serial
    infos = {
        "wrong key": (made.ktri(key, encrypted=_under("bob", key)), content),
        "bad padding of the key": (made.ktri(key, encrypted=b"\1" + os.urandom(255)), content),
        "key too short": (made.ktri(key, encrypted=_under("alice", key[:5])), content),
        "another content key": (made.ktri(os.urandom(32)), content),
        "bad padding of the content": (made.ktri(key), unpadded),
        "(addressed to another)": (made.ktri(key, rid=bob, name="bob"), content),
        "(opens)": (made.ktri(key), content),
    }
    return {
        cause: message(cms(made.enveloped_data(info, encrypted=encrypted)))
        for cause, (info, encrypted) in infos.items()
    }


def gcm() -> dict[str, bytes]:
    """Give one AuthEnvelopedData a cause."""

    def sealed(name: str = "alice", at: int = 0) -> bytes:
        recipients = [parties.recipient(name)]
        whole = bytearray(
            envelop(TEXT, recipients, content_encryption="aes256_gcm", random=os.urandom)
        )
        if at:
            whole[at] ^= 1
        return bytes(whole)

    def as_if_to_alice() -> bytes:
        alice, bob = (
            read_certificate(parties.party("rsa", name).der).issuer_and_serial
            for name in ("alice", "bob")
        )
        whole = sealed("bob")
        assert bob in whole
        assert len(bob) == len(alice)
        return whole.replace(bob, alice)

    made_of = {
        "wrong key": as_if_to_alice(),
        "tampered tag": sealed(at=-1),
        "tampered content": sealed(at=-400),
        "(addressed to another)": sealed("bob"),
        "(opens)": sealed(),
    }
    return {
        cause: message(cms(content, "authEnveloped-data".lower()))
        for cause, content in made_of.items()
    }


class Client:
    """One session; the content is there before the dot, so that only the work behind it counts."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._answer()
        self._say(b"EHLO client.example.org")

    def seconds(self, content: bytes) -> tuple[float, bytes]:
        """Send a message; gives the time from its final dot to the reply, and the reply."""
        for line in (b"MAIL FROM:<x@example.org>", f"RCPT TO:<{SENDER}>".encode(), b"DATA"):
            self._say(line)
        self._socket.sendall(content)
        time.sleep(0.002)  # that it has arrived
        started = time.perf_counter()
        reply = self._say(b".")
        return time.perf_counter() - started, reply

    def _say(self, line: bytes) -> bytes:
        self._socket.sendall(line + b"\r\n")
        return self._answer()

    def _answer(self) -> bytes:
        while True:
            line = self._file.readline()
            if line[3:4] == b" ":
                return line


def same(one: Sequence[float], other: Sequence[float]) -> float:
    """Give the p of the two-sample Kolmogorov-Smirnov test, by its limit with Stephens' mending."""
    both = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    counts, most = [0, 0], 0.0
    for number, (value, which) in enumerate(both):
        counts[which] += 1
        if number + 1 == len(both) or both[number + 1][0] != value:
            most = max(most, abs(counts[0] / len(one) - counts[1] / len(other)))
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    size = (root + 0.12 + 0.11 / root) * most
    if size < 0.2:  # there the series does not converge, and p is 1
        return 1.0
    terms = ((-1.0) ** (k - 1) * math.exp(-2 * (k * size) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def prepare(folder: Path, sink: int) -> tuple[Path, int]:
    """Make a service that has alice's key."""
    port, config = free_port(), folder / "smime-proxy.toml"
    config.write_text(INBOUND.format(port=port, sink=sink, state=folder / "state"))
    key, password = folder / "alice.p12", folder / "password"
    key.write_bytes(parties.party("rsa", "alice").pkcs12())
    password.write_bytes(b"secret\n")
    words = ("account", "import-key", SENDER, str(key), "--password-file", str(password))
    for line in (("account", "add", SENDER), words):
        subprocess.run(command(config, *line), check=True, capture_output=True)
    return config, port


def measure(port: int, causes: dict[str, list[bytes]], number: int) -> dict[str, list[float]]:
    """Send so many of each cause, in random order."""
    client = Client(port)
    times: dict[str, list[float]] = {cause: [] for cause in causes}
    replies = set()
    for turn in range(number + 20):
        for cause in random.sample(list(causes), len(causes)):
            seconds, reply = client.seconds(causes[cause][turn % VARIANTS])
            replies.add(reply)
            if turn >= 20:  # by then nothing is done for the first time
                times[cause].append(seconds)
    print(f"replies: {sorted(replies)}")
    return times


def report(title: str, times: dict[str, list[float]]) -> float:
    """Print a table; gives the least p of any two causes that must not be told apart."""
    print(f"\n{title}: median µs, p against `wrong key`, least p against any other cause")
    causes = [cause for cause in times if not cause.startswith("(")]
    least = 1.0
    for cause, values in times.items():
        others = [same(values, times[one]) for one in causes if one != cause]
        against = same(values, times["wrong key"])
        print(
            f"{cause:28} {statistics.median(values) * 1e6:8.0f} {against:9.4f} {min(others):9.4f}"
        )
        if cause in causes:
            least = min(least, *others)
    pairs = len(causes) * (len(causes) - 1) // 2
    print(
        f"least p of {pairs} pairs: {least:.4f}; with as many pairs {LEAST_P / pairs:.4f} is what"
    )
    print(f"one in {1 / LEAST_P:.0f} runs has by chance")
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=500)
    number = parser.parse_args().messages
    folder = Path(tempfile.mkdtemp(prefix="smime-proxy-uniform-"))
    try:
        sink = free_port()
        sinking = ["smtp-sink", "-u", "postfix", "-c", f"127.0.0.1:{sink}", "100"]
        with running(sinking, sink, folder / "sink.log"):
            config, port = prepare(folder, sink)
            with serving(config, port, folder / "serve.log"):
                for title, make in (("EnvelopedData, AES-CBC", cbc), ("AES-GCM", gcm)):
                    made_of = [make() for _ in range(VARIANTS)]
                    causes = {cause: [one[cause] for one in made_of] for cause in made_of[0]}
                    report(title, measure(port, causes, number))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
