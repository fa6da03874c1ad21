from .conftest import Cli


def test_upgrading_postgresql_is_not_supported_yet(empty: Cli) -> None:
    assert "not supported in this version" in empty.refused("store", "upgrade")
