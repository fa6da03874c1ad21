"""The peers, each started once for all tests that talk to it."""

from collections.abc import Iterator

import pytest

from tests.interop import bouncycastle as bouncy_castle
from tests.interop import gpgsm as gnupg
from tests.interop.bouncycastle import BouncyCastle
from tests.interop.gpgsm import Gpgsm
from tests.interop.nss import Nss
from tests.interop.openssl import OpenSsl
from tests.peers import require


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    require("openssl")
    return OpenSsl.build(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="session")
def gpgsm() -> Iterator[Gpgsm]:
    require("gpgsm")
    with gnupg.opened() as peer:
        yield peer


@pytest.fixture(scope="session")
def nss(tmp_path_factory: pytest.TempPathFactory) -> Nss:
    require("nss")
    return Nss.build(tmp_path_factory.mktemp("nss"))


@pytest.fixture(scope="session")
def bouncycastle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BouncyCastle]:
    require("bouncycastle")
    with bouncy_castle.opened(tmp_path_factory.mktemp("bouncycastle")) as peer:
        yield peer
