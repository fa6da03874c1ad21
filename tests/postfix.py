"""A private Postfix whose mail passes a content filter by LMTP and comes back on a second port.

    with filtering(filter_port, Ways(back=..., onward=...)) as port:
        ...  # SMTP on 127.0.0.1:port; what the filter hands to `back` goes on to `onward`

Documented in Postfix's FILTER_README, "Advanced content filter". It needs root.
"""

import contextlib
import grp
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers import require
from tests.sink import unused_port

SECONDS = 30  # until it listens, on a busy machine

_MAIN = """
compatibility_level = 3.6
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
myhostname = postfix.example.test
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{onward}
disable_dns_lookups = yes
smtp_dns_support_level = disabled
alias_maps =
minimal_backoff_time = 3600s
"""
_MASTER = """
{port} inet n - n - - smtpd
  -o content_filter=lmtp:[127.0.0.1]:{filter}
{back} inet n - n - - smtpd
  -o content_filter= -o receive_override_options=no_header_body_checks
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
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
class Postfix:
    """A running Postfix: the port clients use, and its log so far."""

    port: int
    folder: Path

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextlib.contextmanager
def filtering(filter_port: int, back: int, onward: int) -> Iterator[Postfix]:
    """Run Postfix until the block ends; all ports are on the loopback interface.

    It listens on `back` for what the filter hands back, and sends that on to `onward`.
    """
    program = require("postfix")
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))
    folder.chmod(0o755)
    for name in ("queue", "data", "etc"):
        (folder / name).mkdir()
    owner = pwd.getpwnam("postfix")
    shutil.chown(folder / "data", owner.pw_uid, grp.getgrgid(owner.pw_gid).gr_gid)
    postfix = Postfix(unused_port(), folder)
    (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder, onward=onward))
    ports = {"port": postfix.port, "filter": filter_port, "back": back}
    (folder / "etc" / "master.cf").write_text(_MASTER.format(**ports))
    command = [str(program), "-c", str(folder / "etc")]
    subprocess.run([*command, "start"], check=True, capture_output=True)
    try:
        _await(folder / "queue" / "pid" / "master.pid", postfix)
        yield postfix
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _await(path: Path, postfix: Postfix) -> None:
    until = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < until, postfix.log()
        time.sleep(0.05)
