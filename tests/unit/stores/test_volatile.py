from pathlib import Path

import pytest

from smime_proxy.stores.volatile import in_memory

TABLE = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=1g
24 22 0:40 / /srv/in\040memory rw - ramfs ramfs rw
25 22 8:2 / /over rw - tmpfs tmpfs rw
26 22 8:2 / /over rw - xfs /dev/sdb rw
27 22 8:2 / /none
"""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/run", True),
        ("/run/state/made/later", True),
        ("/runner", False),
        ("/srv/in memory/state", True),
        ("/over/state", False),
        ("/var/lib", False),
        ("/none", False),
    ],
)
def test_the_nearest_and_latest_mount_says_it(tmp_path: Path, path: str, said: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert in_memory(Path(path), table) is said


def test_without_a_table_nothing_is_in_memory(tmp_path: Path) -> None:
    assert not in_memory(Path("/run"), tmp_path / "none")


def test_this_machines_table_can_be_read() -> None:
    assert not in_memory(Path("/"))
    assert in_memory(Path("/dev/shm")) or not Path("/dev/shm").is_mount()  # noqa: S108 - asked of it
