"""Dovecot's LMTP server with Maildirs of the test's own, on a loopback port and a UNIX socket.

    with dovecot({"bob@example.org": 0, "full@example.org": 1000}) as store:
        ...  # lmtp://127.0.0.1:{store.port}, lmtp://{store.socket}
        assert store.mail("bob@example.org") == [...]

Users are given with their quota in octets, 0 for none; mail for others is refused. It runs as the
test's user, as root with Dovecot's own users, in a folder that goes with the block.
"""

import contextlib
import getpass
import grp
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.peers import require
from tests.ports import free_port
from tests.tied import tied

HOST = "127.0.0.1"
SECONDS = 30  # until it listens, on a busy machine

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {internal}
mail_uid = {owner}
mail_gid = {owner_group}
first_valid_uid = 1
first_valid_gid = 1
mail_home = {folder}/mail/%u
mail_location = maildir:{folder}/mail/%u
mail_plugins = quota
postmaster_address = postmaster@example.org
hostname = dovecot.example.org
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
plugin {{
  quota = maildir:User quota
  quota_grace = 0
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    port = {port}
  }}
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class Store:
    """A running server."""

    folder: Path
    port: int

    @property
    def socket(self) -> Path:
        return self.folder / "lmtp"

    def mail(self, address: str) -> list[bytes]:
        """Give the messages in a user's Maildir, with the line ends of the wire."""
        files = sorted((self.folder / "mail" / address / "new").glob("*"))
        return [_crlf(file.read_bytes()) for file in files]


@contextlib.contextmanager
def dovecot(users: Mapping[str, int], more: str = "") -> Iterator[Store]:
    """Run Dovecot until the block ends; `more` are further lines of its configuration."""
    program = require("dovecot")
    # Not pytest's folder: the name of a UNIX socket has 107 octets at most.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    store = Store(folder, free_port())
    (folder / "dovecot.conf").write_text(_configuration(store) + more)
    (folder / "users").write_text("".join(_user(*item) for item in users.items()))
    (folder / "mail").mkdir(mode=0o777)
    (folder / "mail").chmod(0o777)  # whatever the umask
    command = [str(program), "-F", "-c", str(folder / "dovecot.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=tied(signal.SIGTERM))
    try:
        _await(store, process)
        yield store
    finally:
        process.terminate()
        process.wait(SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(store: Store) -> str:
    as_root = os.geteuid() == 0
    me, mine = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    return _CONFIGURATION.format(
        folder=store.folder,
        port=store.port,
        internal="dovecot" if as_root else me,
        group="dovecot" if as_root else mine,
        owner="nobody" if as_root else me,
        owner_group="nogroup" if as_root else mine,
    )


def _user(address: str, quota: int) -> str:
    limit = f"userdb_quota_rule=*:bytes={quota}" if quota else ""
    return f"{address}:{{PLAIN}}x::::::{limit}\n"


def _await(store: Store, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS
    while True:
        log = store.folder / "log"
        told = log.read_text() if log.exists() else ""
        assert process.poll() is None, told
        assert time.monotonic() < until, told
        with contextlib.suppress(OSError), socket.create_connection((HOST, store.port)):
            return
        time.sleep(0.05)


def _crlf(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
