"""The unit as shipped: systemd reads it, rates it, and runs the program under all it forbids."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from smime_proxy.smtp.service import ServiceOptions
from smime_proxy.smtp.workers import KILL_SECONDS
from tests.deploy.machine import PROGRAM, SEEN, UNIT, UNITS, Machine, machine
from tests.e2e.client import deliver
from tests.e2e.proxy import ROOT, eventually
from tests.peers import require
from tests.ports import HOST, free_ports
from tests.sink import Sink, running
from tests.tls_files import make_tls_files

pytestmark = pytest.mark.e2e

ALICE, OUTSIDE = "alice@example.test", "someone@example.net"
MAIL = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\nSubject: x\r\n\r\nHello\r\n".encode()
PASSWORD = "canary-of-the-credentials"
SETTINGS = """
[service]
hostname = "proxy.example.test"
workers = 2
[admin]
bind = ""
[status]
bind = "{host}:{status}"
[upstreams.relay]
url = "smtp://localhost:{upstream}"
tls_ca_file = "/etc/smime-proxy/upstream.pem"
username = "proxy"
password_file = "/run/credentials/smime-proxy.service/relay.password"
[listeners.submission]
role = "outbound"
bind = "{host}:{submission}"
upstream = "relay"
[listeners.mx]
role = "inbound"
bind = "{host}:{mx}"
upstream = "relay"
domains = ["example.test"]
"""


def directive(name: str) -> str:
    """Give what the unit says last of a directive."""
    lines = (UNITS / UNIT).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")][-1]


def test_the_unit_is_stopped_only_after_the_longest_drain() -> None:
    (grace,) = (one.default for one in fields(ServiceOptions) if one.name == "grace")
    assert isinstance(grace, int)
    assert int(directive("TimeoutStopSec")) >= grace + KILL_SECONDS + 5


@pytest.mark.parametrize(
    "drop_in", ["", *sorted(one.name for one in (UNITS / "drop-ins").iterdir())]
)
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, drop_in: str) -> None:
    analyze = require("systemd")
    if drop_in == "notify-reload.conf" and version(analyze) < 253:
        pytest.skip("Type=notify-reload came with systemd 253")
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    program = tmp_path / PROGRAM.removeprefix("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (UNITS / UNIT).read_text().replace(PROGRAM, str(program))
    (units / UNIT).write_text(text)
    if drop_in:
        (units / f"{UNIT}.d").mkdir()
        shutil.copy(UNITS / "drop-ins" / drop_in, units / f"{UNIT}.d")
    line = ("verify", "--man=no", "--recursive-errors=no")
    done = subprocess.run(
        [analyze, *line, units / UNIT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_exposed_no_more_than_the_guide_says() -> None:
    said = re.findall(r"exposure.{0,40}?(\d)\.(\d)", (ROOT / "docs/install.md").read_text())
    assert len(said) == 1
    threshold = "".join(said[0])
    line = ("security", "--offline=true", f"--threshold={threshold}", UNITS / UNIT)
    done = subprocess.run([require("systemd"), *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def version(analyze: Path) -> int:
    """Give systemd's version."""
    said = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[1])


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sink, Path]]:
    """An upstream that wants a password under TLS; with the authority that vouches for it."""
    files = make_tls_files(tmp_path_factory.mktemp("upstream"))
    with running(Sink(tls=files.server(), logins={"proxy": PASSWORD})) as sink:
        yield sink, files.ca


@dataclass(frozen=True, slots=True)
class Installed:
    """A machine where the service runs, its ports, and its upstream."""

    machine: Machine
    ports: dict[str, int]
    sink: Sink

    def ready(self) -> bool:
        """Tell whether `healthcheck` says so."""
        return self.machine.run(PROGRAM, "healthcheck").returncode == 0


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, sink: tuple[Sink, Path]
) -> Iterator[Installed]:
    """A service installed as docs/install.md says, started by systemd."""
    upstream, authority = sink
    names = ("status", "submission", "mx")
    ports = dict(zip(names, free_ports(3), strict=True))
    settings = SETTINGS.format(host=HOST, upstream=upstream.port, **ports)
    with machine(tmp_path_factory.mktemp("machine")) as here:
        folder = here.root / "etc/smime-proxy"
        shutil.copy(authority, folder / "upstream.pem")
        (folder / "relay.password").write_text(f"{PASSWORD}\n")
        (folder / "relay.password").chmod(0o600)
        (folder / "smime-proxy.toml").write_text(settings)
        here.drop_in("credentials.conf")
        here.drop_in("seen.conf", SEEN)
        here.done(PROGRAM, "account", "add", ALICE)
        (here.root / "root.pem").write_text(here.done(PROGRAM, "ca", "init"))
        (here.root / "alice.pem").write_text(here.done(PROGRAM, "ca", "issue", ALICE))
        here.done("systemctl", "daemon-reload")
        here.done("systemctl", "start", UNIT)
        yield Installed(here, ports, upstream)


def test_the_service_signs_and_opens_under_everything_the_unit_forbids(
    installed: Installed,
) -> None:
    here, ports, sink = installed.machine, installed.ports, installed.sink
    assert [here.status(name) for name in ("NoNewPrivs", "Seccomp")] == ["1", "2"]
    assert int(here.status("CapBnd"), 16) == 0
    assert deliver(ports["submission"], ALICE, (OUTSIDE,), MAIL).code == 250
    signed = sink.messages[-1].content
    line = ("openssl", "cms", "-verify", "-CAfile", str(here.root / "root.pem"))
    opened = subprocess.run(line, input=signed, capture_output=True, check=True)
    assert b"Hello" in opened.stdout
    encrypt = ("openssl", "cms", "-encrypt", "-aes256", "-from", OUTSIDE, "-to", ALICE)
    inner = b"Content-Type: text/plain\r\n\r\nFor your eyes only\r\n"
    done = subprocess.run(
        [*encrypt, here.root / "alice.pem"], input=inner, capture_output=True, check=True
    )
    sealed = done.stdout.replace(b"\n", b"\r\n")
    assert deliver(ports["mx"], OUTSIDE, (ALICE,), sealed).code == 250
    assert b"For your eyes only" in sink.messages[-1].content


def test_a_worker_that_was_killed_can_be_made_again_under_the_unit(installed: Installed) -> None:
    here = installed.machine
    first = here.show("MainPID")
    children = here.done("cat", f"/proc/{first}/task/{first}/children").split()
    here.done("kill", "-KILL", children[0])
    eventually(lambda: "a process died" in here.log(), here.log)
    eventually(lambda: here.log().count("listening") == 6, here.log)  # two listeners each
    assert here.show("MainPID") == first


def test_a_reload_takes_new_settings_and_they_may_use_ports_below_1024(
    installed: Installed,
) -> None:
    """The drop-in is what allows the port; the reload is systemd's own."""
    here, ports = installed.machine, installed.ports
    settings = here.root / "etc/smime-proxy/smime-proxy.toml"
    settings.write_text(settings.read_text() + "\n[policy]\nsign = 'never'\n")
    here.done("systemctl", "reload", UNIT)
    eventually(lambda: here.log().count("reloaded") == 2, here.log)
    port = privileged_port()
    settings.write_text(
        settings.read_text().replace(f'"{HOST}:{ports["submission"]}"', f'"{HOST}:{port}"')
    )
    here.drop_in("privileged-ports.conf")
    here.done("systemctl", "daemon-reload")
    here.done("systemctl", "restart", UNIT)
    assert deliver(port, ALICE, (OUTSIDE,), MAIL).code == 250
    assert b"multipart/signed" not in installed.sink.messages[-1].content


def test_the_service_ends_in_good_order_and_nothing_was_forbidden_to_it(
    installed: Installed,
) -> None:
    here = installed.machine
    eventually(installed.ready)
    here.done("systemctl", "stop", UNIT)
    found = [here.show(name) for name in ("Result", "ExecMainStatus", "NRestarts")]
    assert found == ["success", "0", "0"]
    assert "Traceback" not in here.log()
    assert PASSWORD not in here.log()


def privileged_port() -> int:
    """Find a port below 1024 that nobody listens on."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return port
    raise AssertionError
