"""An upstream that is a Maildir: every transaction becomes one file, octet for octet as given.

maildir(5) and cr.yp.to/proto/maildir.html; RFC 5321 4.1.1.4 (what a 250 promises).
"""

import asyncio
import contextlib
import errno
import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.errors import may_be_sent

# Nothing is transmitted any further, so what REQUIRETLS demands is met.
_EXTENSIONS = Extensions(eightbitmime=True, smtputf8=True, dsn=False, size=0, requiretls=True)
_SENDER_OK = Reply(250, EnhancedStatus(1, 0), "Sender OK")
_RECIPIENT_OK = Reply(250, EnhancedStatus(1, 5), "Recipient OK")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_deliveries = itertools.count(1)
_log = structlog.get_logger(__name__)


class MaildirUpstream:
    """A Maildir at `path`, made when missing; `clock` gives seconds since the epoch for names."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")

    async def open(self, _origin: Origin | None = None, /) -> "MaildirTransaction":
        """Begin a delivery; touches no disk yet."""
        seconds, fraction = divmod(self._clock(), 1)
        unique = f"M{int(fraction * 1_000_000)}P{os.getpid()}Q{next(_deliveries)}"
        name = f"{int(seconds)}.{unique}R{secrets.token_hex(8)}.{self._host}"
        return MaildirTransaction(self._path, name)

    async def close(self) -> None:
        """Nothing is kept open."""


class MaildirTransaction:
    """One delivery: `prepare` writes into tmp/, `commit` moves to new/ (maildir(5)).

    All recipients share the one file, which holds the content only: no fields are added and line
    ends stay CRLF, so signatures and comparisons see what an SMTP upstream would have got.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._draft = path / "tmp" / name
        self._final = path / "new" / name
        self._writing: asyncio.Future[None] | None = None
        self._accepted = 0

    @property
    def extensions(self) -> Extensions:
        """What a file can hold: everything but DSN requests, which nobody would act on."""
        return _EXTENSIONS

    @property
    def is_lost(self) -> bool:
        """Say no: a file has no session."""
        return False

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Accept any sender; a file has no envelope."""
        del reverse_path, parameters
        return _SENDER_OK

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Accept any recipient; a file has no envelope."""
        del path
        self._accepted += 1
        return _RECIPIENT_OK

    async def prepare(self, content: Sequence[bytes]) -> Reply | None:
        """Write the content to tmp/ and to the disk; a full disk is 452 4.3.1."""
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, _write, self._path, self._draft, content)
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            return self._refuse(error)
        return None

    async def commit(self) -> tuple[Reply, ...]:
        """Move the file to new/ and make that durable; all recipients share what came of it.

        Raises `UpstreamError` when the file is in new/ and the disk cannot say that it stays.
        """
        try:
            await asyncio.to_thread(os.rename, self._draft, self._final)
        except OSError as error:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._draft.unlink, missing_ok=True)
            return (self._refuse(error),) * self._accepted
        try:
            await asyncio.to_thread(_sync_directory, self._final.parent)
        except OSError as error:
            _log.warning("maildir_unconfirmed", path=str(self._path), reason=error.strerror)
            raise may_be_sent() from None
        delivered = Reply(250, EnhancedStatus(0, 0), f"Delivered as {self._final.name}")
        return (delivered,) * self._accepted

    async def abort(self) -> None:
        """Remove what was written; new/ was not touched."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
            await asyncio.to_thread(self._draft.unlink, missing_ok=True)

    def _refuse(self, error: OSError) -> Reply:
        _log.warning("maildir_unwritable", path=str(self._path), reason=error.strerror)
        if error.errno in _FULL:
            return reply_for("storage_full")
        return reply_for("internal_error", "The message cannot be stored")


def _write(path: Path, draft: Path, content: Sequence[bytes]) -> None:
    try:
        descriptor = _create(draft)
    except FileNotFoundError:
        for name in ("tmp", "new", "cur"):
            (path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _create(draft)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _create(draft: Path) -> int:
    # 0600: mail is private to its owner, whatever the umask.
    return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
