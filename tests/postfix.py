"""A private Postfix of the test's own: ports where mail comes in, and where all of it goes.

    with filtering(filter_port, back, onward) as postfix:
        ...  # SMTP on 127.0.0.1:postfix.port; what the filter hands to `back` goes on to `onward`
    with postfix_with([Entry(port, ("content_filter=lmtp:[127.0.0.1]:2525",)), Entry(back)], MAIN):
        ...

Ways to filter are documented in Postfix's SMTPD_PROXY_README and FILTER_README. It needs root.
"""

import contextlib
import grp
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import require
from tests.ports import free_port
from tests.tied import tied

SECONDS = 30  # until it listens, on a busy machine
QUEUES = ("maildrop", "incoming", "active", "deferred")  # in the order mail moves through them

_PLACE = """
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_dns_support_level = disabled
alias_maps =
in_flow_delay = 0
"""
_MAIN = """
compatibility_level = 3.6
myhostname = postfix.example.test
mydestination =
mynetworks = 127.0.0.0/8
"""
# The queue manager is woken every other second, by default every 300: until then lies in `incoming`
# what it left there ("skipped, still being delivered") when the attempts follow each other quickly.
_MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 2 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
lmtp unix - - n - - lmtp
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A port where mail comes in; `options` hold for it alone, `name=value`."""

    port: int
    options: tuple[str, ...] = ()

    def line(self) -> str:
        """Write it for master.cf."""
        told = "".join(f"\n  -o {option}" for option in self.options)
        return f"{self.port} inet n - n - - smtpd{told}\n"


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix: the port clients use, and its log so far."""

    port: int
    folder: Path

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def queued(self, name: str) -> int:
        """Count the messages in one of `QUEUES`."""
        folder = self.folder / "queue" / name
        return sum(path.is_file() for path in folder.rglob("*"))

    def held(self) -> int:
        """Count the messages in all queues; one that moves meanwhile counts once."""
        queue = self.folder / "queue"
        files = (path for name in QUEUES for path in (queue / name).rglob("*") if path.is_file())
        return len({path.name for path in files})

    def is_idle(self) -> bool:
        """Tell whether all that was taken is delivered or bounced.

        Looked at twice: what a filter hands back is a new message, there before the old one goes.
        """
        return not any(self.queued(name) for name in QUEUES + QUEUES)

    def flush(self) -> None:
        """Try all deferred mail now."""
        command = [str(require("postfix")), "-c", str(self.folder / "etc"), "flush"]
        subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def filtering(filter_port: int, back: int, onward: int, more: str = "") -> Iterator[Postfix]:
    """Run one whose mail passes a content filter by LMTP; all ports are on the loopback interface.

    It listens on `back` for what the filter hands back, and sends that on to `onward`. `more` are
    further lines of main.cf.
    """
    entries = (
        Entry(free_port(), (f"content_filter=lmtp:[127.0.0.1]:{filter_port}",)),
        Entry(back, ("receive_override_options=no_header_body_checks",)),
    )
    main = f"relayhost = [127.0.0.1]:{onward}\nminimal_backoff_time = 3600s\n"
    with postfix_with(entries, main + more) as postfix:
        yield postfix


@contextlib.contextmanager
def postfix_with(entries: Sequence[Entry], main: str) -> Iterator[Postfix]:
    """Run Postfix until the block ends; `main` are further lines of main.cf.

    The first entry is the one clients use.
    """
    master = "".join(one.line() for one in entries) + _MASTER
    with postfix_of(_MAIN + main, master, entries[0].port) as postfix:
        yield postfix


@contextlib.contextmanager
def postfix_of(main: str, master: str, port: int) -> Iterator[Postfix]:
    """Run Postfix with these two files until the block ends; `port` is the one clients use.

    Of main.cf all may be told but where its queue, data and log are, and what it needs of DNS.
    """
    program = require("postfix")
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))
    folder.chmod(0o755)
    for name in ("queue", "data", "etc"):
        (folder / name).mkdir()
    owner = pwd.getpwnam("postfix")
    shutil.chown(folder / "data", owner.pw_uid, grp.getgrgid(owner.pw_gid).gr_gid)
    postfix = Postfix(port, folder)
    (folder / "etc" / "main.cf").write_text(_PLACE.format(folder=folder) + main)
    (folder / "etc" / "master.cf").write_text(master)
    command = [str(program), "-c", str(folder / "etc")]
    process = _start(command, postfix)
    try:
        yield postfix
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True)
        process.wait(SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: Sequence[str], postfix: Postfix) -> "subprocess.Popen[bytes]":
    """Start it, again while one of its ports is in passing use by somebody's connection."""
    until = time.monotonic() + SECONDS
    while True:
        process = subprocess.Popen(
            [*command, "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=tied(signal.SIGTERM),
        )
        while process.poll() is None:
            if (postfix.folder / "queue" / "pid" / "master.pid").exists():
                return process
            assert time.monotonic() < until, postfix.log()
            time.sleep(0.05)
        assert time.monotonic() < until, postfix.log()
        time.sleep(1)
