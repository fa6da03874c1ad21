"""Files named on the command line, and passwords: from the first line of a file, or asked for.

Everything is read before root is given up; passwords never come as arguments.
"""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import typer

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.pkcs12 import KeyBundle, read_key_file

MAX_FILE = 256 * 1024**2  # octets; more than any message or key file, less than memory
PRIVATE = 0o600  # mode of files that hold keys or decrypted mail
PUBLIC = 0o644  # mode of files that hold certificates
KEY_SUFFIXES = frozenset({".p12", ".pfx", ".pem"})
CERTIFICATE_SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der", ".p7b", ".p7c"})


def read(path: Path) -> bytes:
    """Read a file; `-` is standard input. Raises `CommandError` in one line."""
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_FILE)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_FILE:
        raise CommandError(f"{path}: larger than {MAX_FILE} octets")
    # A copy: what was read lies in a mapping of its own, of which a process has some 65,000.
    return bytes(memoryview(raw))


def read_password(path: Path) -> bytes:
    """Read the first line of a password file."""
    return read(path).partition(b"\n")[0].rstrip(b"\r")


def read_text_password(path: Path) -> str:
    """Read a password that is sent as text; raises `CommandError` when it is not UTF-8."""
    try:
        return read_password(path).decode()
    except UnicodeDecodeError:
        raise CommandError(f"{path}: the password is not UTF-8") from None


def ask_password(prompt: str, *, confirm: bool = False) -> bytes:
    """Ask for a password on the terminal, unseen; raises `CommandError` when there is none."""
    if not sys.stdin.isatty():
        raise CommandError(f"{prompt}: no terminal to ask on; use --password-file")
    return str(
        typer.prompt(
            prompt,
            hide_input=True,
            confirmation_prompt=confirm,
            err=True,
            default="",
            show_default=False,
        )
    ).encode()


def read_keys(path: Path, passwords: Sequence[bytes]) -> KeyBundle:
    """Open a key file with one of the passwords, or without.

    When there are none and it needs one, it is asked for on the terminal. Raises `KeyFileError`
    that names the file.
    """
    raw = read(path)
    failure = KeyFileError(f"{path}: cannot be opened")
    for password in (*passwords, None):
        try:
            return read_key_file(raw, password)
        except KeyFileError as error:
            failure = failure if failure.__cause__ else _named(path, error)
    if passwords or not sys.stdin.isatty() or "password" not in str(failure):
        raise failure
    try:
        return read_key_file(raw, ask_password(f"password of {path}"))
    except KeyFileError as error:
        raise _named(path, error) from error


def _named(path: Path, error: KeyFileError) -> KeyFileError:
    named = KeyFileError(f"{path}: {error}")
    named.__cause__ = error
    return named


def named_files(path: Path, suffixes: frozenset[str]) -> list[Path]:
    """Give the file itself, or the files of a directory with one of these suffixes, sorted."""
    if not path.is_dir():
        return [path]
    found = sorted(
        entry for entry in path.iterdir() if entry.suffix.lower() in suffixes and entry.is_file()
    )
    if not found:
        raise CommandError(f"{path}: no file there ends in {' '.join(sorted(suffixes))}")
    return found


def open_private(path: Path) -> int:
    """Make or open a file only its owner may read; it keeps what it holds until it is written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, PRIVATE)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)  # of a device, say /dev/null, the mode is everybody's
            raise CommandError(f"{path}: not a file secrets may be written to")
        os.fchmod(descriptor, PRIVATE)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    return descriptor


def new_private(path: Path) -> BinaryIO:
    """Make a file only its owner may read; one that is there already is refused."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        raise CommandError(
            f"{path}: exists already and is never written over: name another file, or remove it"
        ) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    return os.fdopen(descriptor, "w+b")


def open_public(path: Path) -> int:
    """Make or open a file others may read; it keeps what it holds until it is written."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PUBLIC)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def discard_empty(path: Path | None) -> None:
    """Remove what `open_private` made when nothing comes into it; what held something stays."""
    with suppress(OSError):
        if path is not None and path.is_file() and not path.stat().st_size:
            path.unlink()


def write(descriptor: int, raw: bytes) -> None:
    """Put these octets and nothing else into an open file, and close it."""
    with os.fdopen(descriptor, "wb") as file:
        file.truncate(0)
        file.write(raw)


def tracked(paths: list[Path]) -> Iterator[Path]:
    """Give each path, with a progress bar on standard error when that is a terminal."""
    if len(paths) < 2 or not sys.stderr.isatty():  # noqa: PLR2004 - one file is no long work
        yield from paths
        return
    with typer.progressbar(paths, file=sys.stderr) as bar:
        yield from bar
