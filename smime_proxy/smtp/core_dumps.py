"""No core dumps: what a process has in memory, keys and plaintext among it, must not reach a disk.

No RFC; getrlimit(2), core(5). Both settings are inherited by processes made later.
"""

import contextlib
import resource
from pathlib import Path

_FILTER = Path("/proc/self/coredump_filter")


def forbid_core_dumps() -> None:
    """Let no core file be written of this process, nor anything of its memory be in one.

    The limit is not asked when the kernel pipes dumps to a program (systemd-coredump, apport):
    for that no kind of memory is put into one. Not PR_SET_DUMPABLE: it would hide /proc/PID from
    the service's own user, and with it what a look at open files or limits needs.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # only Linux has it
        _FILTER.write_text("0")
