"""A machine of its own: systemd as the first process of namespaces, with the unit as shipped.

No RFC; systemd(1), namespaces(7). It has its own processes, mounts, /etc, /opt, /run, /tmp and
/var/lib; only the network and what cannot be written are those of the machine that runs the test.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.proxy import PATIENCE_SECONDS, ROOT, eventually
from tests.peers import require, under_ci
from tests.tied import tied

UNITS = ROOT / "deploy" / "systemd"
UNIT = "smime-proxy.service"
PROGRAM = "/opt/smime-proxy/current/bin/smime-proxy"
# The targets a service depends on by itself, without all that a real machine starts for them.
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "nss-lookup", "time-sync", "machine")
LAUNCHER = """#!/bin/sh
export PYTHONPATH=/opt/smime-proxy/checkout PYTHONDONTWRITEBYTECODE=1
exec /opt/smime-proxy/venv/bin/python -c 'from smime_proxy.app import main; main()' "$@"
"""
# What no test could see otherwise: where the output goes; and a system call that is not allowed
# ends the process, where the unit as shipped lets it fail.
SEEN = f"""[Service]
StandardOutput=append:/var/log/{UNIT}.log
StandardError=inherit
SystemCallErrorNumber=kill
"""
BOOT = """
set -eu
cd /
echo $$ > "$3/cgroup.procs"
exec unshare --mount --pid --fork --kill-child=KILL --cgroup --ipc --uts sh -euc '
mount --make-rprivate /
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind "$2" "$1/opt/smime-proxy/checkout"
mount --bind "$4" "$1/opt/smime-proxy/venv"
for folder in etc run var/lib var/log opt; do mount --rbind "$1/$folder" /$folder; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
mount --make-rshared /
systemd-sysusers /etc/smime-proxy.sysusers.conf
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/machine \
    SYSTEMD_GENERATOR_PATH=/etc/machine/none /lib/systemd/systemd --unit=machine.target \
    --log-target=console --show-status=0
' boot "$@"
"""


@dataclass
class Machine:
    """One that runs; `root` holds its /etc, /opt, /run, /var/lib and /var/log as seen from here."""

    root: Path
    pid: int  # of its first process, here

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as its administrator."""
        enter = ("nsenter", f"--target={self.pid}", "--mount", "--pid", "--wd=/", "--")
        return subprocess.run(
            [*enter, *words], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )

    def done(self, *words: str | Path) -> str:
        """Run a command that must succeed; gives its output."""
        result = self.run(*words)
        assert result.returncode == 0, result.stderr + self.log()
        return result.stdout

    def show(self, name: str) -> str:
        """Give a property of the service, as systemd knows it."""
        return self.done("systemctl", "show", "--property", name, "--value", UNIT).strip()

    def status(self, field: str) -> str:
        """Give a line of /proc/PID/status of the service's first process."""
        lines = self.done("cat", f"/proc/{self.show('MainPID')}/status").splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))

    def log(self) -> str:
        """Give what the service wrote."""
        path = self.root / "var/log" / f"{UNIT}.log"
        return path.read_text() if path.exists() else ""

    def drop_in(self, name: str, text: str = "") -> None:
        """Put a drop-in of ours in place, or one with this text."""
        folder = self.root / "etc/machine" / f"{UNIT}.d"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text or (UNITS / "drop-ins" / name).read_text())


def groups() -> Path | None:
    """Return where control groups of version 2 can be made, None where they cannot."""
    tops = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    return next((top for top in tops if os.access(top / "cgroup.procs", os.W_OK)), None)


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Start one with the unit in place and not started; skips where that is not possible."""
    require("systemd")
    top = groups()
    if os.geteuid() != 0 or top is None:
        pytest.skip("a systemd of its own wants root and writable control groups")
    python = Path(sys.executable).resolve()
    if not python.is_relative_to("/usr"):
        pytest.skip(f"the unit cannot see {python}: ProtectHome=")
    furnish(folder)
    group = top / f"smime-proxy-test-{secrets.token_hex(4)}"
    group.mkdir()
    with (folder / "systemd.log").open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", BOOT, "boot", folder, ROOT, group, sys.prefix],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=tied(),
        )
    try:
        yield Machine(folder, first_process(process, folder))
    finally:
        process.kill()
        process.wait()
        eventually(lambda: remove(group))


def furnish(folder: Path) -> None:
    """Lay out what the machine has of its own."""
    for name in ("run/systemd/system", "var/lib", "var/log", "opt/smime-proxy/current/bin"):
        (folder / name).mkdir(parents=True)
    for name in ("checkout", "venv"):
        (folder / "opt/smime-proxy" / name).mkdir()
    launcher = folder / "opt/smime-proxy/current/bin/smime-proxy"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    subprocess.run(["cp", "-a", "/etc", folder / "etc"], check=True)
    units = folder / "etc/machine"
    units.mkdir()
    for name in TARGETS:
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    shutil.copy(UNITS / UNIT, units)
    shutil.copy(UNITS / "smime-proxy.sysusers.conf", folder / "etc")
    (folder / "etc/smime-proxy").mkdir()


def first_process(process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Wait until the machine's systemd answers; gives its process as seen from here."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    answering = folder / "run/systemd/private"
    said = folder / "systemd.log"

    def is_up() -> bool:
        if process.poll() is not None:
            complain(said.read_text())
        return answering.exists()

    eventually(is_up, said.read_text)
    return int(children.read_text().split()[0])


def complain(why: str) -> None:
    """Skip, or fail under CI=true where root has what it takes."""
    if under_ci():
        pytest.fail(f"systemd does not start in namespaces: {why}", pytrace=False)
    pytest.skip(f"systemd does not start in namespaces: {why}")


def remove(group: Path) -> bool:
    """Remove a tree of control groups once their processes are gone."""
    with contextlib.suppress(OSError):
        for path in sorted(group.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        group.rmdir()
    return not group.exists()
