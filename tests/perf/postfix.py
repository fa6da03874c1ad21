"""A private Postfix that relays everything to a sink: the peer without any cryptography."""

import contextlib
import grp
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.perf.processes import wait_for
from tests.ports import free_port

MAIN = """
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {log}
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example.test
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
smtp_dns_support_level = disabled
smtputf8_enable = no
alias_maps =
default_process_limit = 100
in_flow_delay = 0
"""
MASTER = """
{port} inet n - n - - smtpd
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


@dataclass(frozen=True)
class Relay:
    """A running Postfix: its port, the process id of its master, and its queue."""

    port: int
    pid: int
    queue: Path

    def is_empty(self) -> bool:
        """Tell whether all that was accepted has been delivered."""
        return not any(
            any((self.queue / name).iterdir()) for name in ("maildrop", "incoming", "active")
        )


@contextlib.contextmanager
def relaying(sink: int) -> Iterator[Relay]:
    """Run Postfix with its queue in memory until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="postfix-", dir="/dev/shm"))
    folder.chmod(0o755)
    queue, data, config = folder / "queue", folder / "data", folder / "etc"
    for path in (queue, data, config):
        path.mkdir()
    owner = pwd.getpwnam("postfix")
    shutil.chown(data, owner.pw_uid, grp.getgrgid(owner.pw_gid).gr_gid)
    port = free_port()
    log = folder / "log"
    (config / "main.cf").write_text(
        MAIN.format(queue=queue, data=data, sink=sink, log=log, folder=folder)
    )
    (config / "master.cf").write_text(MASTER.format(port=port))
    postfix = ["/usr/sbin/postfix", "-c", str(config)]
    subprocess.run([*postfix, "start"], check=True, capture_output=True)
    try:
        wait_for(port)
        pid = int((queue / "pid" / "master.pid").read_text().split()[0])
        yield Relay(port, pid, queue)
    finally:
        subprocess.run([*postfix, "stop"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
