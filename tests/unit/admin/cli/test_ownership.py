import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from smime_proxy.admin.cli import ownership
from smime_proxy.admin.cli.ownership import act_as_owner, ensure, invoker

NOBODY = 65534  # has an entry everywhere
UNLISTED = 54321  # has none

# Programs below /root, say, serve nobody but root: so it is with a checkout there.
REACHABLE = all(parent.stat().st_mode & 0o001 for parent in Path(ownership.__file__).parents)
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not REACHABLE,
    reason="only root can give root up, and only where others may read the checkout",
)

WHO = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from smime_proxy.admin.cli.ownership import act_as_owner
os.setgroups([0, 4])
act_as_owner(Path(sys.argv[1]), sys.argv[2])
print(os.getuid(), os.geteuid(), os.getgid(), *os.getgroups())
"""


def acted(state_dir: Path, service_user: str = "no-such-user") -> list[int]:
    shown = subprocess.run(
        [sys.executable, "-c", WHO, str(state_dir), service_user],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in shown.stdout.split()]


@as_root
@pytest.mark.parametrize("owner", [NOBODY, UNLISTED])
def test_root_becomes_the_owner_of_the_state_directory(tmp_path: Path, owner: int) -> None:
    os.chown(tmp_path, owner, owner)
    user, effective, group, *groups = acted(tmp_path)
    assert (user, effective, group) == (owner, owner, owner)
    assert not {0, 4} & set(groups)


@as_root
def test_root_stays_root_for_a_directory_of_root(tmp_path: Path) -> None:
    assert acted(tmp_path)[0] == 0


@as_root
def test_a_missing_directory_is_made_for_the_service_user(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "state"
    tmp_path.chmod(0o755)
    assert acted(state_dir, "nobody")[0] == NOBODY
    found = state_dir.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (NOBODY, 0o700)
    assert state_dir.parent.stat().st_uid == 0


@as_root
def test_without_a_service_user_root_stays(tmp_path: Path) -> None:
    assert acted(tmp_path / "state")[0] == 0
    assert (tmp_path / "state").is_dir()


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    ensure(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.geteuid() == 0, reason="says what others than root see")
def test_others_stay_who_they_are(tmp_path: Path) -> None:
    before = os.getuid()
    act_as_owner(tmp_path)
    assert os.getuid() == before


def test_the_audit_names_who_used_sudo() -> None:
    assert invoker("anna") == ("anna" if os.getuid() == 0 else invoker(""))
    assert invoker("")


@as_root
def test_commands_of_root_leave_the_store_to_its_owner() -> None:
    """Files named on the command line are read before, though only root may read them."""
    # Not below tmp_path, which others than root cannot enter.
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        state = directory / "state"
        state.mkdir()
        os.chown(state, NOBODY, NOBODY)
        key = directory / "alice.pem"
        settings = directory / "settings.toml"
        settings.write_text(f'[service]\nstate_dir = "{state}"\n')
        settings.chmod(0o600)
        for line in (
            ["account", "add", "alice@example.test"],
            ["ca", "init"],
            ["ca", "issue", "alice@example.test", "--out", str(key)],
            ["account", "import-key", "alice@example.test", str(key)],
        ):
            command = [sys.executable, "-c", "from smime_proxy.app import main; main()"]
            subprocess.run(
                [*command, "--config", str(settings), *line], check=True, capture_output=True
            )
        assert {path.stat().st_uid for path in state.iterdir()} == {NOBODY}
        assert key.stat().st_uid == 0
