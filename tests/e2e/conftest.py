"""What the end-to-end tests share: one state made by commands, one service with many listeners."""

import contextlib
import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smime_proxy.admin.cli.program import run
from smime_proxy.app import build
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.peers import require
from tests.ports import HOST, free_port
from tests.sink import Sink, running
from tests.tls_files import TlsFiles, make_tls_files

ALICE = "alice@example.test"
TEAM = "team@example.test"
PARTNER = "partner@example.org"  # his certificate is known
FRIEND = "friend@example.org"  # hers too
OUTSIDE = "someone@example.net"  # no certificate of his is known
SEALED_TEXT = "what nobody but alice may read"


@dataclass(frozen=True, slots=True)
class Made:
    """A state directory to copy, and the files that belong to it."""

    state: Path
    files: Path  # root.pem, alice.pem, team.pem, partner.pem, partner.key, friend.*


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Authority, accounts and partners, made by the program's own commands, once."""
    return make(tmp_path_factory.mktemp("made"))


def make(folder: Path) -> Made:
    """Make authority, accounts and partners in a folder."""
    design = Design({"out": "url = 'maildir:///dev/null'"}, {"out": Listener("outbound", "out")})
    proxy = Proxy(folder, design)
    command(proxy, "account", "add", ALICE)
    command(proxy, "account", "add", TEAM, "--kind", "team")
    (folder / "root.pem").write_text(command(proxy, "ca", "init"))
    for address in (ALICE, TEAM):
        name = address.partition("@")[0]
        (folder / f"{name}.pem").write_text(command(proxy, "ca", "issue", address))
    for address in (PARTNER, FRIEND):
        name = address.partition("@")[0]
        key = str(folder / f"{name}.key")
        (folder / f"{name}.pem").write_text(command(proxy, "ca", "issue", address, "--out", key))
        command(proxy, "cert", "import", str(folder / f"{name}.pem"))
    return Made(proxy.state, folder)


def command(proxy: Proxy, *words: str) -> str:
    """Run a command in this very process, which saves a second each; gives its output."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert run(["--config", str(proxy.config), *words], {}, build) == 0
    return output.getvalue()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def faulty_port() -> int:
    """The port where tests put a sink that fails on purpose; nobody is there otherwise."""
    return free_port()


@dataclass(frozen=True, slots=True)
class House:
    """The service most tests use, and the sinks behind it.

    Listeners: out, in (trusts nobody), stranger (outbound, trusts nobody), faulty and faulty_in
    (to `faulty_port`), starttls and smtps (outbound), secure and distrusted (outbound to `secured`,
    whose certificate the second does not trust), plain (outbound to a sink that offers no TLS,
    which is required).
    """

    proxy: Proxy
    sink: Sink
    secured: Sink

    def port(self, listener: str) -> int:
        return self.proxy.ports[listener]


@pytest.fixture(scope="session")
def house(
    tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles, faulty_port: int
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    stranger_tls = make_tls_files(folder, label="stranger")
    password = folder / "password"
    password.write_text("canary-of-the-upstream\n")
    sink, secured = Sink(), Sink(tls=tls.server(), logins={"proxy": "canary-of-the-upstream"})
    login = f'username = "proxy"\npassword_file = "{password}"\n'
    with running(sink), running(secured):
        required = f'url = "smtp://localhost:{secured.port}"\ntls = "required"\n{login}'
        upstreams = {
            "sink": to_sink(sink.port),
            "faulty": to_sink(faulty_port),
            "secured": f'{required}tls_ca_file = "{tls.ca}"',
            "distrusted": f'{required}tls_ca_file = "{stranger_tls.ca}"',
            "plain": f'url = "smtp://{HOST}:{sink.port}"\ntls_ca_file = "{tls.ca}"',
        }
        pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"'
        mx = 'domains = ["example.test"]\nreports = "sink"'
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", f"{mx}\ntrusted_networks = []"),
            "stranger": Listener("outbound", "sink", "trusted_networks = []"),
            "faulty": Listener("outbound", "faulty"),
            "faulty_in": Listener("inbound", "faulty", mx),
            "starttls": Listener("outbound", "sink", pair),
            "smtps": Listener("outbound", "sink", f'{pair}\nprotocol = "smtps"'),
            "secure": Listener("outbound", "secured"),
            "distrusted": Listener("outbound", "distrusted"),
            "plain": Listener("outbound", "plain"),
        }
        design = Design(upstreams, listeners)
        with serving(folder / "proxy", made.state, design, installed=True) as proxy:
            yield House(proxy, sink, secured)
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()


def sealed(made: Made) -> bytes:
    """Let openssl encrypt a mail for alice and the team."""
    header = ("-from", PARTNER, "-to", f"{ALICE}, {TEAM}", "-subject", "Secret")
    certificates = [str(made.files / f"{name}.pem") for name in ("alice", "team")]
    line = ("cms", "-encrypt", "-aes256", *header, *certificates)
    inner = f"Content-Type: text/plain\r\n\r\n{SEALED_TEXT}\r\n".encode()
    done = subprocess.run([require("openssl"), *line], input=inner, capture_output=True, check=True)
    return done.stdout.replace(b"\n", b"\r\n")
