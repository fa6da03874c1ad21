"""One token for all tests of these modules, with a key of each kind."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import MechanismFlag

from smime_proxy.tokens.source import TokenKeys
from tests import hsm, pki
from tests.hsm import SoftHsm


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with hsm.present(tmp_path_factory.mktemp("hsm")) as made:
        made.put(rsa_key(), "rsa", MechanismFlag.SIGN | MechanismFlag.DECRYPT)
        made.put(curve_key(), "curve", MechanismFlag.SIGN | MechanismFlag.DERIVE)
        made.make_master_key("master")
        yield made


@pytest.fixture
def keys(softhsm: SoftHsm) -> Iterator[TokenKeys]:
    opened = softhsm.open()
    yield opened
    opened.close()


def curve_key() -> ec.EllipticCurvePrivateKey:
    made = pki.key("p384", "on a token")
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    return made


def rsa_key() -> rsa.RSAPrivateKey:
    return pki.rsa_key("on a token")
