"""A master key file and its successor: the one that opens the store is found, whichever it is."""

import threading
from pathlib import Path

import pytest

from smime_proxy.stores import master_key
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import Vault, make_master_key, master_key_file
from tests.pki import NOW

NEW = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def test_the_key_that_opens_is_found_in_its_own_file(path: Path) -> None:
    old = make_master_key(path)
    assert master_key.find(path, old.key_check()).opens(old.key_check())


def test_a_successor_that_opens_is_found_and_takes_its_place(path: Path) -> None:
    make_master_key(path)
    successor = master_key.prepare(path, master_key_file(NEW))
    assert successor.stat().st_mode & 0o777 == 0o600
    check = Vault.from_key(NEW).key_check()
    assert master_key.find(path, check).opens(check)
    assert not successor.exists()
    assert path.read_bytes() == master_key_file(NEW)


def test_a_successor_that_does_not_open_is_left_alone(path: Path) -> None:
    old = make_master_key(path)
    successor = master_key.prepare(path, master_key_file(NEW))
    assert master_key.find(path, old.key_check()).opens(old.key_check())
    assert successor.exists()


def test_of_several_the_right_one_is_found_and_half_a_file_is_none(path: Path) -> None:
    make_master_key(path)
    path.with_name("master.key.next-00000000").write_bytes(b"half")
    master_key.prepare(path, master_key_file(bytes(32)))
    master_key.prepare(path, master_key_file(NEW))
    check = Vault.from_key(NEW).key_check()
    assert master_key.find(path, check).opens(check)


def test_when_none_opens_the_key_of_the_file_is_given(path: Path) -> None:
    make_master_key(path)
    check = Vault.from_key(NEW).key_check()
    assert not master_key.find(path, check).opens(check)


def test_a_missing_master_key_is_told(path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        master_key.find(path, b"")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        master_key.prepare(tmp_path / "nowhere" / "master.key", b"")


def test_the_old_key_keeps_another_name_and_successors_can_be_removed(path: Path) -> None:
    make_master_key(path)
    old = path.read_bytes()
    kept = master_key.keep_old(path, NOW)
    assert kept == master_key.keep_old(path, NOW)
    master_key.take_place(master_key.prepare(path, master_key_file(NEW)), path)
    assert kept.name == "master.key.before-20260601T120000"
    assert kept.read_bytes() == old
    master_key.prepare(path, b"")
    master_key.discard(path)
    assert list(master_key.successors(path)) == []


def test_it_is_found_while_the_files_change_places(path: Path) -> None:
    make_master_key(path)
    check = Vault.from_key(NEW).key_check()
    successor = master_key.prepare(path, master_key_file(NEW))
    found: list[bool] = []

    def look() -> None:
        found.extend(master_key.find(path, check).opens(check) for _ in range(200))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found)
    assert not successor.exists()
