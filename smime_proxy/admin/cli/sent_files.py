"""Mail that was sent, file by file: a Maildir, a directory of .eml files, an mbox, one message.

Maildir (cr.yp.to/proto/maildir.html), RFC 4155 (mbox). Read by whoever typed the command: as root
gives itself up for the store, a process of its own goes on reading.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smime_proxy.admin.cli.errors import CommandError

MAILDIR = ("cur", "new")
_MBOX = b"From "
_FRAME = struct.Struct("!IIQ?")  # octets of name, reason and content, and whether there is content


@dataclass(frozen=True, slots=True)
class SentFile:
    """One mail with its octets, or None and why it cannot be read."""

    name: str
    raw: bytes | None
    reason: str = ""


def sent_files(path: Path, limit: int) -> Iterator[SentFile]:
    """Give every mail there is, one at a time; those of more than `limit` octets are not read.

    Raises `CommandError` where there is no such place.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        return _in_file(path, path.name, limit)
    folders = [path / name for name in MAILDIR if (path / name).is_dir()]
    return _in_folders(folders or [path], path, limit, is_maildir=bool(folders))


@contextmanager
def reading(path: Path, limit: int, *, apart: bool) -> Iterator[Iterator[SentFile]]:
    """Give `sent_files`, with `apart` read by a process that keeps the rights of now."""
    found = sent_files(path, limit)
    if not apart:
        yield found
        return
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _send(found, reader, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as source:
            yield _received(source)
    finally:
        _, status = os.waitpid(child, 0)
    if status:
        raise CommandError(f"{path}: it could not be read to its end")


def _in_folders(
    folders: list[Path], root: Path, limit: int, *, is_maildir: bool
) -> Iterator[SentFile]:
    for folder in folders:
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError as error:
            yield SentFile(str(folder.relative_to(root)), None, error.strerror or "unreadable")
            continue
        for name in names:
            if is_maildir or name.lower().endswith(".eml"):
                yield from _in_file(folder / name, str((folder / name).relative_to(root)), limit)


def _in_file(path: Path, name: str, limit: int) -> Iterator[SentFile]:
    try:
        # Not to wait for ever for somebody to write into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                yield SentFile(name, None, "not a file")
                return
            yield from _mails_of(file, name, limit)
    except OSError as error:
        yield SentFile(name, None, error.strerror or "unreadable")


def _mails_of(file: BinaryIO, name: str, limit: int) -> Iterator[SentFile]:
    first = file.readline(limit + 1)
    if not first.startswith(_MBOX):
        yield _mail(name, first + file.read(limit + 1 - len(first)), limit)
        return
    number, lines, size, blank = 1, list[bytes](), 0, False
    while line := file.readline(limit + 1):
        if blank and line.startswith(_MBOX):
            yield _mail(f"{name}#{number}", b"".join(lines), limit, size)
            number, lines, size = number + 1, [], 0
            continue
        blank = line in (b"\n", b"\r\n")
        size += len(line)
        if size <= limit:
            lines.append(line)
    yield _mail(f"{name}#{number}", b"".join(lines), limit, size)


def _mail(name: str, raw: bytes, limit: int, size: int = 0) -> SentFile:
    if max(size, len(raw)) > limit:
        return SentFile(name, None, "larger than max_message_size")
    return SentFile(name, raw) if raw.strip() else SentFile(name, None, "it is empty")


def _send(found: Iterator[SentFile], reader: int, writer: int) -> None:
    """Write what is read into the pipe and end this process, whatever happens."""
    ended = 1
    try:
        os.close(reader)
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as sink:
            for one in found:
                name, reason = os.fsencode(one.name), one.reason.encode()
                raw = one.raw or b""
                frame = _FRAME.pack(len(name), len(reason), len(raw), one.raw is not None)
                sink.write(frame + name + reason + raw)
        ended = 0
    finally:
        os._exit(ended)


def _received(source: BinaryIO) -> Iterator[SentFile]:
    while len(frame := source.read(_FRAME.size)) == _FRAME.size:
        name, reason, raw, is_there = _FRAME.unpack(frame)
        told = os.fsdecode(source.read(name)), source.read(reason).decode()
        content = source.read(raw)
        yield SentFile(told[0], content if is_there else None, told[1])
