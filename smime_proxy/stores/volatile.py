"""Tells whether a directory lies in memory, so that all in it ends with the machine or container.

No RFC; proc_pid_mountinfo(5) for the table of what is mounted.
"""

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def in_memory(path: Path, mounts: Path = MOUNTS) -> bool:
    """Tell whether a path, or the directory it would be made in, is on a file system in memory.

    Where the table of mounts cannot be read, it is not.
    """
    real = os.path.realpath(path)
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    found, kind = "", ""
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = _unescaped(before.split(" ")[4])
        # Of two at one place the later hides the earlier.
        if _is_below(real, point) and len(point) >= len(found):
            found, kind = point, behind.split(" ")[0]
    return kind in _IN_MEMORY


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _unescaped(point: str) -> str:
    """Undo the octal escapes of blanks, as the kernel writes them."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(octal, character)
    return point
