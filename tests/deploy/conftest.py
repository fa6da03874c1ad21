"""The image, built once from the Dockerfile as it is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.engine import Engine, make_base, running_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Podman with the image in its storage, on a short path: it takes 50 characters at most."""
    with running_engine(Path(tempfile.mkdtemp(prefix="engine-"))) as one:
        make_base(one)
        one.build("--build-arg=VERSION=1.2.3", "--build-arg=REVISION=0123abc")
        yield one
