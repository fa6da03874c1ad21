"""The image, built once from the Dockerfile as it is."""

from collections.abc import Iterator

import pytest

from tests.deploy.engine import Engine, make_base, running_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Podman with the image in its storage."""
    with running_engine(tmp_path_factory.mktemp("engine")) as one:
        make_base(one)
        one.build("--build-arg=VERSION=1.2.3", "--build-arg=REVISION=0123abc")
        yield one
