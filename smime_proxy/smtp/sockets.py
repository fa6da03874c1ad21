"""What only one service may have: its listening sockets and the lock on its state directory.

No RFC. Sockets are bound once, by the first process, without SO_REUSEPORT: a second service on
the port is told so instead of taking half of the mail.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from smime_proxy.smtp.errors import SmtpError

BACKLOG = 1024  # connections the kernel holds while we accept others
PATIENCE_SECONDS = 1.0  # for the workers of a service that was killed to be gone
_PAUSE_SECONDS = 0.05
_MAX_PORT = 65535  # 16 bits, RFC 9293 3.1
_PASSIVE = socket.AI_PASSIVE
_TAKEN = frozenset({errno.EADDRINUSE, errno.EWOULDBLOCK})
LOCK_FILE = "serve.lock"

_Got = TypeVar("_Got")


def bind(address: str) -> socket.socket:
    """Listen on `host:port`, an IPv6 host in brackets; `[::]` takes IPv4 too where it can.

    Raises `SmtpError` with one line when the address is not one, not ours or in use.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=_PASSIVE)
        family, _, _, _, target = found[0]
        both = target[0] == "::" and socket.has_dualstack_ipv6()
        return _patiently(
            lambda: socket.create_server(
                target[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both
            )
        )
    except socket.gaierror as error:
        raise SmtpError(f"cannot listen on {address}: {error.strerror}") from None
    except OSError as error:
        # socket.create_server adds the address to strerror, which we have said already.
        raise SmtpError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from None


def claim(state_dir: Path) -> int:
    """Lock the state directory for this service; gives the descriptor that holds the lock.

    The lock ends with the process, however that ends. Raises `SmtpError` with one line when
    another service has it.
    """
    path = state_dir / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            # A service that starts as root goes on as the owner, and may start as him next time.
            os.fchown(descriptor, state_dir.stat().st_uid, state_dir.stat().st_gid)
    except OSError as error:
        raise SmtpError(f"{path}: {error.strerror}") from None
    try:
        _patiently(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except OSError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise SmtpError(f"{state_dir}: in use by another service, process {holder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port`, brackets removed; raises `SmtpError`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        raise SmtpError(f"{address}: is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _patiently(attempt: Callable[[], _Got]) -> _Got:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except OSError as error:
            if error.errno not in _TAKEN or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
