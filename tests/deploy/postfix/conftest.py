"""What all layouts of Postfix share: one state, made by commands."""

import pytest

from tests.deploy.postfix.building import settle
from tests.e2e.conftest import Made, made, tls

__all__ = ["made", "settled", "tls"]


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Made:
    """The state of the end-to-end tests with two more accounts, and an alias of alice."""
    return settle(tmp_path_factory.mktemp("settled"), made)
