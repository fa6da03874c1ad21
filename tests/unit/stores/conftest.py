"""An empty store for each test, and who acts on it."""

import shutil
from pathlib import Path

import pytest

from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.open import open_store
from tests.pki import NOW


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files of an empty store once: making the tables is the slow part."""
    state_dir = tmp_path_factory.mktemp("empty") / "state"
    open_store("sqlite", state_dir, None, migrate=False)
    return state_dir


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Name a state directory; it is there only for tests that ask for a store."""
    return tmp_path / "state"


@pytest.fixture
def store(empty_state: Path, state_dir: Path) -> Store:
    """Open an empty store."""
    shutil.copytree(empty_state, state_dir)
    return open_store("sqlite", state_dir, None, migrate=False).store


@pytest.fixture
def act() -> Act:
    """Act as the administrator, at the time at which test certificates are valid."""
    return Act("admin", NOW)
