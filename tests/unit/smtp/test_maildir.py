import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.ports import Transaction, Upstream, UpstreamError
from smime_proxy.smtp.maildir import MaildirUpstream

CONTENT = [b"Received: by us\r\n", b"Subject: x\r\n\r\n", b".dot\r\n\xff\r\n"]
BOB = ForwardPath(parse_mailbox("bob@example.org"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "outbound"


async def prepared(upstream: Upstream) -> Transaction:
    transaction = await upstream.open()
    assert (await transaction.mail(None, ())).is_positive
    assert (await transaction.rcpt(BOB)).is_positive
    assert await transaction.prepare(CONTENT) is None
    return transaction


def folders(path: Path) -> list[str]:
    return sorted(folder.name for folder in path.iterdir())


def listing(path: Path) -> list[str]:
    return sorted(file.relative_to(path).parts[0] for file in path.rglob("*") if file.is_file())


async def test_mail_is_kept_octet_for_octet(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    assert (await transaction.commit())[0].code == 250
    (file,) = (path / "new").iterdir()
    assert file.read_bytes() == b"".join(CONTENT)
    assert file.stat().st_mode & 0o077 == 0


async def test_a_maildir_is_made_with_its_three_folders(path: Path) -> None:
    await prepared(MaildirUpstream(path))
    assert folders(path) == ["cur", "new", "tmp"]


async def test_nothing_is_in_new_before_the_commit(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    assert listing(path) == ["tmp"]
    await transaction.commit()
    assert listing(path) == ["new"]


async def test_an_abort_leaves_nothing(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    await transaction.abort()
    assert listing(path) == []


class Slow(list[bytes]):
    """Content that is read only when the test allows it."""

    def __init__(self) -> None:
        super().__init__([b"a: b\r\n\r\n"])
        self.allowed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self.allowed.wait(10)
        return super().__iter__()


async def test_an_abort_waits_for_the_writing_it_ends(path: Path) -> None:
    transaction, content = await MaildirUpstream(path).open(), Slow()
    writing = asyncio.ensure_future(transaction.prepare(content))
    await asyncio.sleep(0)
    writing.cancel()
    aborting = asyncio.ensure_future(transaction.abort())
    await asyncio.sleep(0.1)
    assert not aborting.done()
    content.allowed.set()
    await aborting
    assert listing(path) == []


async def test_an_abort_after_the_commit_takes_nothing_back(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    await transaction.commit()
    await transaction.abort()
    assert listing(path) == ["new"]


async def test_names_are_unique_within_one_microsecond(path: Path) -> None:
    upstream = MaildirUpstream(path, clock=lambda: 1_800_000_000.5)
    for transaction in [await prepared(upstream) for _ in range(20)]:
        await transaction.commit()
    names = [file.name for file in (path / "new").iterdir()]
    assert len(names) == 20
    assert all(name.startswith("1800000000.M500000P") for name in names)


@pytest.fixture
def _little_room() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_little_room")
async def test_a_full_disk_is_452_and_leaves_nothing(path: Path) -> None:
    transaction = await MaildirUpstream(path).open()
    reply = await transaction.prepare([b"x" * 100_000])
    assert reply is not None
    assert str(reply).startswith("452 4.3.1 ")
    assert listing(path) == []


async def test_a_maildir_that_cannot_be_made_is_a_temporary_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    transaction = await MaildirUpstream(tmp_path / "file" / "mail").open()
    reply = await transaction.prepare(CONTENT)
    assert reply is not None
    assert reply.code == 451


async def test_a_draft_that_vanished_is_a_temporary_refusal(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    for file in (path / "tmp").iterdir():
        file.unlink()
    assert (await transaction.commit())[0].code == 451
    assert listing(path) == []


async def test_a_move_that_fails_leaves_nothing(path: Path) -> None:
    transaction = await prepared(MaildirUpstream(path))
    (path / "new").rmdir()
    assert (await transaction.commit())[0].code == 451
    assert listing(path) == []


async def test_a_move_the_disk_does_not_confirm_may_have_been_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = await prepared(MaildirUpstream(path))

    def failing(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(UpstreamError, match="may have been sent"):
        await transaction.commit()


async def test_file_and_folder_are_synced_before_the_250(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().parent.name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    transaction = await prepared(MaildirUpstream(path))
    assert synced == ["tmp"]
    await transaction.commit()
    assert synced == ["tmp", path.name]
