"""Find a secret wherever it may have leaked to: in clear, base64 or hexadecimal."""

import base64
from collections.abc import Iterable
from pathlib import Path


def traces(secret: bytes) -> list[bytes]:
    """Give the shapes of a secret that survive being part of something longer."""
    shapes = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        # What stands before and behind changes the first and the last octets of base64.
        encoded = base64.b64encode(b"\0" * shift + secret)
        shapes.append(encoded[4:-4] if shift else encoded[:-4])
    return shapes


def leaks(secret: bytes, places: Iterable[bytes]) -> list[bytes]:
    """Give what is found of a secret; line ends within base64 and hexadecimal do not hide it."""
    found = []
    for raw in places:
        joined = raw.replace(b"\r", b"").replace(b"\n", b"")
        found += [shape for shape in traces(secret) if shape in raw or shape in joined]
    return found


def files(folder: Path) -> Iterable[bytes]:
    """Give the content of every file below a folder."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
