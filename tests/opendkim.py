"""OpenDKIM as a milter: it signs what leaves or verifies what comes in.

RFC 6376.
"""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.e2e.proxy import eventually
from tests.peers import require
from tests.ports import HOST


def make_dkim_key(folder: Path) -> tuple[Path, str]:
    """Write a private key; gives its file and the public one as DNS has it."""
    key = rsa.generate_private_key(65537, 2048)
    file = folder / "dkim.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    file.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return file, "".join(public.decode().splitlines()[1:-1])


@contextlib.contextmanager
def opendkim(folder: Path, port: int, *lines: str) -> Iterator[None]:
    """Run an OpenDKIM milter on a loopback port until the block ends; `lines` are its settings."""
    folder.mkdir(exist_ok=True)
    config = folder / f"{port}.conf"
    usual = ("Syslog no", "Background no", "UserID root", "RequireSafeKeys no")
    told = (f"Socket inet:{port}@{HOST}", *usual, *lines)
    config.write_text("\n".join(told) + "\n")
    log = (folder / f"{port}.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [require("opendkim"), "-f", "-x", config], stdout=log, stderr=log
        ) as process,
    ):
        try:
            eventually(lambda: _is_open(port), Path(log.name).read_text)
            yield
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
        return True
    return False
