"""Makes what was found small: leaves out all that is not needed for the same fault."""

import time
from collections.abc import Callable


def minimised(raw: bytes, fails: Callable[[bytes], bool], seconds: float = 20) -> bytes:
    """Leave out ever smaller slices while `fails` still says yes, at most so long."""
    end = time.monotonic() + seconds
    size = max(len(raw) // 2, 1)
    while True:
        smaller = _without_slices(raw, size, fails, end)
        if time.monotonic() > end or (size == 1 and smaller == raw):
            return smaller
        raw, size = smaller, max(size // 2, 1)


def _without_slices(raw: bytes, size: int, fails: Callable[[bytes], bool], end: float) -> bytes:
    at = 0
    while at < len(raw) and time.monotonic() < end:
        shorter = raw[:at] + raw[at + size :]
        if fails(shorter):
            raw = shorter
        else:
            at += size
    return raw
