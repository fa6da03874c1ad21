"""A holder lives as long as its process: a lock says so, and no clock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smime_proxy.stores.holder import PREFIX, STALE_SECONDS, Holder

ANOTHER = """
import sys, time
from pathlib import Path
from smime_proxy.stores.holder import Holder
holder = Holder(Path(sys.argv[1]))
print(holder.name, flush=True)
time.sleep(60)
"""


def test_a_holder_lives_until_it_is_closed(tmp_path: Path) -> None:
    one, two = Holder(tmp_path), Holder(tmp_path)
    assert one.name != two.name
    assert one.is_alive(two.name)
    assert one.is_alive(one.name)
    two.close()
    assert not one.is_alive(two.name)
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_holder_dies_with_its_process(tmp_path: Path) -> None:
    me = Holder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert me.is_alive(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not me.is_alive(name)
    assert (tmp_path / f"{PREFIX}{name}").exists()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 16])
def test_nobody_of_a_name_that_is_none_lives(tmp_path: Path, name: str) -> None:
    assert not Holder(tmp_path).is_alive(name)


def test_a_holder_that_cannot_be_asked_counts_as_alive(tmp_path: Path) -> None:
    me = Holder(tmp_path)
    (tmp_path / f"{PREFIX}{'a' * 16}").mkdir()
    assert me.is_alive("a" * 16)


def test_what_the_dead_left_is_removed_in_time(tmp_path: Path) -> None:
    me = Holder(tmp_path)
    old, new = (tmp_path / f"{PREFIX}{letter * 16}" for letter in "ab")
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    mine = tmp_path / f"{PREFIX}{me.name}"
    os.utime(mine, (0, 0))
    me.sweep()
    assert not old.exists()
    assert new.exists()
    assert mine.exists()
    assert STALE_SECONDS > 60
