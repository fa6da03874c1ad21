"""An empty store for each test, and a look at it as the mail path sees it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.open import open_store
from smime_proxy.stores.snapshot import Snapshot
from tests.pki import NOW


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make an empty store."""
    return open_store("sqlite", tmp_path / "state", None, migrate=False).store


@pytest.fixture
def act() -> Act:
    """Act as the administrator, at the time at which test certificates are valid."""
    return Act("admin", NOW)


@pytest.fixture
def look(store: Store) -> Callable[[], Snapshot]:
    """Read the store as it is when called."""

    def read() -> Snapshot:
        with store.reading() as connection:
            return Snapshot.load(connection, store.vault)

    return read
