"""Servers that end with the test run that started them, even when that is killed."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None).prctl  # found before a fork: what is new there may look for nothing


def tied(number: signal.Signals = signal.SIGKILL, starter: int | None = None) -> Callable[[], None]:
    """Give what a new process calls first (`preexec_fn`), so that it ends with this thread.

    `number` is the signal the kernel sends it then; SIGTERM for what must end processes of its own.
    `starter` is the process that makes the new one, where that is not this. A program that changes
    its user afterwards is no longer tied.
    """
    parent = os.getpid() if starter is None else starter

    def tie() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return tie
