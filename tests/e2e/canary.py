"""Find a secret wherever it may have leaked to: in clear, base64 or hexadecimal."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from stat import S_ISREG


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


def of_process(pid: int) -> Iterator[tuple[str, bytes]]:
    """Yield what is seen of a process, by where: its line, environment, mapped and open files.

    Mapped and open files count when they are regular, those too whose name is gone. Programs and
    libraries are left out: nothing writes there.
    """
    folder = Path(f"/proc/{pid}")
    for name in ("cmdline", "environ"):
        yield str(folder / name), (folder / name).read_bytes()
    ends = {end.name: end for place in ("map_files", "fd") for end in (folder / place).iterdir()}
    seen = set()
    for end in ends.values():
        try:
            status = end.stat()
        except OSError:
            continue  # it was closed meanwhile
        if not S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        raw = end.read_bytes()
        if not raw.startswith(b"\x7fELF"):
            yield f"{end}: {end.readlink()}", raw


def of_folders(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file below some folders; the name counts too."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield str(path), path.name.encode() + b"\n" + path.read_bytes()


def found(secrets: Mapping[str, bytes], places: Iterable[tuple[str, bytes]]) -> set[str]:
    """Say which secret is where."""
    return {
        f"{name} in {where}"
        for where, raw in places
        for name, secret in secrets.items()
        if leaks(secret, [raw])
    }
