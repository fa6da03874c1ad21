"""A key file that changes is taken in use, one that breaks is told and changes nothing."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smime_proxy.admin import declared_watch
from smime_proxy.admin.declared import read_declared
from smime_proxy.admin.declared_watch import DeclaredWatch
from smime_proxy.settings import Settings
from smime_proxy.stores.declared import Declarations
from tests import pki
from tests.fakes import FakeMeasures
from tests.pki import NOW, Identity

ROOT = pki.root(kind="p256")
ADDRESS = "bills@example.com"
FIRST = pki.person(ROOT, ADDRESS, kind="p256")
SECOND = pki.person(ROOT, ADDRESS, kind="p256", label="second")


def pem(owner: Identity) -> bytes:
    return owner.key_pem() + owner.pem()


class Process:
    """What one process knows of one declared account."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.settings = Settings.model_validate({"accounts": {ADDRESS: {"key_file": str(file)}}})
        self.declarations = Declarations(read_declared(self.settings, NOW))
        self.measures = FakeMeasures()
        self.watch = DeclaredWatch(self.settings, self.declarations, self.measures)

    def signs(self) -> list[Identity]:
        (one,) = self.declarations.current.accounts
        current = [key.certificate for key in one.keys if not key.former]
        return [owner for owner in (FIRST, SECOND) if owner.certificate in current]

    def outcomes(self) -> list[str]:
        return [labels["outcome"] for _, labels in self.measures.counted]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setattr(declared_watch, "SETTLE_SECONDS", 0.0)
    file = tmp_path / "key.pem"
    file.write_bytes(pem(FIRST))
    return Process(file)


def written(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)


def as_editors_do(file: Path, raw: bytes) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(raw)
    other.rename(file)


def as_kubernetes_does(file: Path, raw: bytes) -> None:
    folder = file.parent / "..2026_11_27"
    folder.mkdir()
    (folder / file.name).write_bytes(raw)
    (file.parent / "..data_tmp").symlink_to(folder.name)
    (file.parent / "..data_tmp").rename(file.parent / "..data")
    file.unlink()
    file.symlink_to(Path("..data") / file.name)


def with_the_times_of_before(file: Path, raw: bytes) -> None:
    shutil.copy2(file, file.with_suffix(".old"))
    file.write_bytes(raw)
    shutil.copystat(file.with_suffix(".old"), file)


@pytest.mark.parametrize(
    "change", [written, as_editors_do, as_kubernetes_does, with_the_times_of_before]
)
async def test_a_new_key_is_taken_however_the_file_changes(
    process: Process, change: Callable[[Path, bytes], None]
) -> None:
    before = process.declarations.current
    await process.watch.look(NOW)
    assert process.declarations.current is before
    change(process.file, pem(SECOND))
    with capture_logs() as logs:
        await process.watch.look(NOW)
        await process.watch.look(NOW)
    assert process.signs() == [SECOND]
    (one,) = process.declarations.current.accounts
    assert [key.certificate for key in one.keys if key.former] == [FIRST.certificate]
    assert [(log["event"], log["account"]) for log in logs] == [("key_file_taken", ADDRESS)]
    assert process.outcomes() == ["taken"]


async def test_a_broken_file_is_told_once_and_the_key_of_before_stays(process: Process) -> None:
    process.file.write_bytes(pem(SECOND)[:100])
    with capture_logs() as logs:
        await process.watch.look(NOW)
        await process.watch.look(NOW)
    assert process.signs() == [FIRST]
    assert [(log["event"], log["log_level"]) for log in logs] == [("key_file_broken", "error")]
    assert str(process.file) in logs[0]["reason"]
    assert process.watch.gauges() == {"key_files_broken": 1}
    process.file.unlink()
    await process.watch.look(NOW)
    process.file.write_bytes(pem(SECOND))
    await process.watch.look(NOW)
    assert process.signs() == [SECOND]
    assert process.outcomes() == ["broken", "broken", "taken"]
    assert process.watch.gauges() == {"key_files_broken": 0}


async def test_a_file_that_is_being_written_is_left_until_it_is_still(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(_seconds: float) -> None:
        process.file.write_bytes(pem(SECOND))

    process.file.write_bytes(SECOND.key_pem())
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", meanwhile)
        await process.watch.look(NOW)
    assert (process.signs(), process.outcomes()) == ([FIRST], [])
    await process.watch.look(NOW)
    assert (process.signs(), process.outcomes()) == ([SECOND], ["taken"])


async def test_new_settings_win_over_what_was_being_looked_at(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = {"accounts": {ADDRESS: {"key_file": str(process.file), "kind": "team"}}}
    renewed = Settings.model_validate(team)

    async def meanwhile(_seconds: float) -> None:
        current = process.declarations.current
        process.watch.exchange(renewed, read_declared(renewed, NOW, current))

    process.file.write_bytes(pem(SECOND))
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", meanwhile)
        await process.watch.look(NOW)
    (one,) = process.declarations.current.accounts
    assert one.account.kind.value == "team"
    assert (process.signs(), process.outcomes()) == ([SECOND], ["taken"])


async def test_anchors_are_followed_too(process: Process, tmp_path: Path) -> None:
    other = pki.root("Other", kind="p256", label="other")
    file = tmp_path / "root.pem"
    file.write_bytes(ROOT.pem())
    settings = Settings.model_validate({"trust": {"own_anchor_files": [str(file)]}})
    process.watch.exchange(settings, read_declared(settings, NOW))
    assert process.outcomes() == ["taken"]
    file.write_bytes(b"half")
    await process.watch.look(NOW)
    file.write_bytes(other.pem())
    with capture_logs() as logs:
        await process.watch.look(NOW)
    (anchor,) = process.declarations.current.trust.anchors
    assert anchor.certificate == other.certificate
    assert process.outcomes() == ["taken", "broken", "taken"]
    assert logs[0]["account"] == "trust anchors"


async def test_it_looks_again_and_again(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = asyncio.Event()

    class Telling(FakeMeasures):
        def count(self, name: str, **labels: str) -> None:
            super().count(name, **labels)
            counted.set()

    monkeypatch.setattr(declared_watch, "EVERY_SECONDS", 0.01)
    process.watch.measures = Telling()
    watching = asyncio.create_task(process.watch.watch())
    process.file.write_bytes(pem(SECOND))
    async with asyncio.timeout(30):
        await counted.wait()
    assert process.signs() == [SECOND]
    watching.cancel()
