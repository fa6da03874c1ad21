"""DNS zones on free loopback ports: served by NSD, signed by ldns, validated by Unbound.

    with resolver(folder, [Zone("example.org", records), Zone("example.net", [], signed=False)]):
        ...  # 127.0.0.1 at the port of what is given

Nothing asks beyond the loopback: Unbound sends every question to NSD.
"""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers import require
from tests.ports import free_port
from tests.slapd import HOST, SECONDS, listens, own_copy
from tests.tied import tied

__all__ = ["HOST", "Resolver", "Zone", "loads", "resolver"]

_NSD = """
server:
    ip-address: {host}@{port}
    zonesdir: "{folder}"
    pidfile: "{folder}/nsd.pid"
    database: ""
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    username: ""
    server-count: 1
    hide-version: yes
remote-control:
    control-enable: no
"""
_UNBOUND = """
server:
    interface: {host}@{port}
    directory: "{folder}"
    pidfile: "{folder}/unbound.pid"
    chroot: ""
    username: ""
    use-syslog: no
    do-daemonize: no
    do-not-query-localhost: no
    do-ip6: no
    module-config: "validator iterator"
    target-fetch-policy: "0 0 0 0 0"
    num-threads: 1
    harden-below-nxdomain: no
    local-zone: "test." nodefault
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: {host}@{upstream}
"""
_STUB = """
stub-zone:
    name: "{zone}"
    stub-addr: {host}@{upstream}
    stub-prime: no
"""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: its records as zone files have them; `tampered` after it was signed."""

    name: str
    records: Sequence[str]
    signed: bool = True
    tampered: bool = False

    def text(self) -> str:
        """Write the zone file."""
        return "\n".join(
            (
                f"$ORIGIN {self.name}.",
                "$TTL 300",
                f"@ IN SOA ns.{self.name}. hostmaster.{self.name}. 1 3600 600 86400 300",
                f"@ IN NS ns.{self.name}.",
                f"ns IN A {HOST}",
                *self.records,
                "",
            )
        )


@dataclass
class Resolver:
    """A validating resolver at a port, and the server of the zones behind it."""

    port: int
    server_port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(SECONDS)
        self.processes = []


@contextlib.contextmanager
def resolver(folder: Path, zones: Sequence[Zone]) -> Iterator[Resolver]:
    """Serve the zones and a resolver that validates those that are signed."""
    require("nsd")
    require("unbound")
    require("ldns")
    folder.mkdir(parents=True, exist_ok=True)
    running = Resolver(free_port(), free_port())
    nsd = _NSD.format(host=HOST, port=running.server_port, folder=folder)
    unbound = _UNBOUND.format(
        host=HOST, port=running.port, upstream=running.server_port, folder=folder
    )
    for zone in zones:
        (folder / f"{zone.name}.zone").write_text(zone.text())
        file = f"{zone.name}.zone"
        if zone.signed:
            anchor = _sign(folder, zone)
            unbound = unbound.replace(
                "remote-control:", f'    trust-anchor-file: "{anchor}"\nremote-control:', 1
            )
            file += ".signed"
        unbound += _STUB.format(zone=zone.name, host=HOST, upstream=running.server_port)
        nsd += f'zone:\n    name: "{zone.name}"\n    zonefile: "{file}"\n'
    (folder / "nsd.conf").write_text(nsd)
    (folder / "unbound.conf").write_text(unbound)
    try:
        _start(running, folder, ["nsd", "-d", "-c", "nsd.conf"], running.server_port)
        _start(running, folder, ["unbound", "-d", "-c", "unbound.conf"], running.port)
        yield running
    finally:
        running.stop()


def loads(folder: Path, zone: Zone) -> str:
    """Let NSD's own checker read a zone file; gives what it says against it, "" for nothing."""
    file = folder / "checked.zone"
    file.write_text(zone.text())
    done = subprocess.run(
        [require("nsd").with_name("nsd-checkzone"), zone.name, file],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


def _sign(folder: Path, zone: Zone) -> Path:
    """Sign a zone file with a new key; gives the file of its trust anchor."""
    key = _run(folder, "ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone.name).strip()
    plain = f"{zone.name}.zone"
    _run(folder, "ldns-signzone", "-n", "-o", zone.name, "-f", f"{plain}.signed", plain, key)
    if zone.tampered:
        signed = folder / f"{plain}.signed"
        text = signed.read_text()
        changed = re.sub(
            r"(SMIMEA\s+3 [01] [012] )(\w)",
            lambda match: match[1] + ("0" if match[2] != "0" else "1"),
            text,
        )
        assert changed != text
        signed.write_text(changed)
    return folder / f"{key}.ds"


def _run(folder: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [require("ldns").with_name(name), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _start(running: Resolver, folder: Path, command: Sequence[str], port: int) -> None:
    name, *arguments = command
    log_file = folder / f"{name}.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [own_copy(name, folder), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=tied(),
        )
    running.processes.append(process)
    until = time.monotonic() + SECONDS
    while not listens(port):
        assert process.poll() is None, log_file.read_text()
        assert time.monotonic() < until, log_file.read_text()
        time.sleep(0.02)
