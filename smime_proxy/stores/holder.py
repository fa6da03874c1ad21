"""A process as others on this machine know it: alive as long as it holds the lock on its file.

No RFC. The kernel lets go of a lock when its process dies, whatever the clock says.
"""

import fcntl
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "ledger.holder-"
STALE_SECONDS = 3600.0  # a file without a lock that is as old belongs to nobody, and is removed
_NAME = re.compile(r"[0-9a-f]{16}")


class Holder:
    """What stands for this process, under a name no other has; made when a lease is needed."""

    def __init__(self, folder: Path) -> None:
        """Make and lock the file; raises OSError when it cannot be made."""
        self._folder = folder
        self.name = secrets.token_hex(8)
        self._descriptor = os.open(
            _file(folder, self.name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600
        )
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def is_alive(self, name: str) -> bool:
        """Tell whether the holder of that name still runs; one that cannot be asked does."""
        if not _NAME.fullmatch(name):
            return False
        try:
            return _is_locked(_file(self._folder, name))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def sweep(self) -> None:
        """Remove what dead holders left."""
        for path in self._folder.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS and not _is_locked(path):
                    path.unlink()

    def close(self) -> None:
        """Hold nothing any more."""
        with suppress(OSError):
            _file(self._folder, self.name).unlink()
        os.close(self._descriptor)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{PREFIX}{name}"


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
