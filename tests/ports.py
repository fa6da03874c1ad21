"""Ports of the loopback interface for servers of the tests, that no other test run is given.

They lie below those the kernel gives to clients (32768 and up), and each parallel process of a test
run has a range of its own: a port found free is free when its server starts.
"""

import itertools
import os
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
_FIRST, _RANGE, _RANGES = 10_000, 2_000, 11  # up to 32000


def _candidates() -> Iterator[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = _FIRST + int(worker) % _RANGES * _RANGE
    start = random.randrange(_RANGE)
    for number in itertools.count(start):
        yield first + number % _RANGE


_ports = _candidates()


def free_ports(count: int) -> list[int]:
    """Give ports where nobody listens; none is given twice before all others were."""
    return list(itertools.islice(filter(_is_free, _ports), count))


def free_port() -> int:
    """Give one."""
    (port,) = free_ports(1)
    return port


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False
