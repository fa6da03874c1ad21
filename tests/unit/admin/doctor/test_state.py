"""What doctor says of files: modes, owners, room."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.admin.doctor.state import FULL, Place, _room, state_findings


@pytest.fixture
def place(tmp_path: Path) -> Place:
    state, secrets = tmp_path / "state", tmp_path / "secrets"
    for directory in (state, secrets):
        directory.mkdir(mode=0o700)
    for path in (state / "store.sqlite", secrets / "master.key"):
        path.touch(mode=0o600)
    return Place(state, state / "store.sqlite", secrets / "master.key")


def kinds(place: Place) -> list[tuple[Severity, str]]:
    """Give what is found, and where; the disk of the tests may be small."""
    found = state_findings(place)
    return [(one.severity, one.where) for one in found if "MiB" not in one.what]


def test_private_files_are_no_finding(place: Place) -> None:
    assert kinds(place) == []


def test_a_master_key_on_a_token_is_not_looked_for(place: Place) -> None:
    assert kinds(Place(place.state_dir, place.store, None)) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_master_key_others_can_read_is_told(place: Place, mode: int) -> None:
    assert place.key_file is not None
    place.key_file.chmod(mode)
    assert kinds(place) == [(Severity.WARNING, str(place.key_file))]


def test_a_store_others_can_read_is_told(place: Place) -> None:
    place.store.chmod(0o644)
    assert kinds(place) == [(Severity.WARNING, str(place.store))]


def test_a_read_only_master_key_is_fine(place: Place) -> None:
    assert place.key_file is not None
    place.key_file.chmod(0o400)
    assert kinds(place) == []


def test_a_missing_master_key_is_told(place: Place) -> None:
    assert place.key_file is not None
    place.key_file.unlink()
    assert kinds(place) == [(Severity.ERROR, str(place.key_file))]


def test_a_master_key_beside_the_store_is_a_note(place: Place) -> None:
    beside = place.state_dir / "master.key"
    beside.touch(mode=0o600)
    assert kinds(Place(place.state_dir, place.store, beside)) == [(Severity.NOTE, str(beside))]


def test_a_directory_others_can_write_is_an_error(place: Place) -> None:
    place.state_dir.chmod(0o770)
    assert kinds(place) == [(Severity.ERROR, str(place.state_dir))]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_an_error(place: Place) -> None:
    os.chown(place.store, 12345, 12345)
    assert kinds(place) == [(Severity.ERROR, str(place.state_dir))]


def test_room_is_told_when_scarce_and_is_an_error_when_there_is_none(place: Place) -> None:
    assert [one.severity for one in _room(place, 10 * FULL)] == [Severity.WARNING] * 0
    assert [one.severity for one in _room(place, 5 * FULL)] == [Severity.WARNING]
    assert [one.severity for one in _room(place, FULL - 1)] == [Severity.ERROR]


def test_a_directory_in_memory_is_a_note_whoever_it_belongs_to(place: Place) -> None:
    place.state_dir.chmod(0o777)
    found = kinds(replace(place, in_memory=True))
    assert found == [(Severity.NOTE, str(place.state_dir))] * 2
    place.store.chmod(0o644)
    assert (Severity.WARNING, str(place.store)) in kinds(replace(place, in_memory=True))
