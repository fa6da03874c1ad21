"""Parameters of RSASSA-PSS as the other package writes them, and what nobody uses."""

import pytest
from cryptography.hazmat.primitives.asymmetric import padding

from smime_proxy.certs.pss import MAX_SALT, read_pss
from smime_proxy.cms import der
from smime_proxy.cms.algorithms import DIGESTS_BY_NAME, SHA1
from smime_proxy.cms.pss import PssParameters

SHA256 = DIGESTS_BY_NAME["sha256"]


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("salt", [0, 20, 32, MAX_SALT])
def test_what_is_written_is_read(name: str, salt: int) -> None:
    found, digest = read_pss(PssParameters(DIGESTS_BY_NAME[name], SHA256, salt).encode())
    assert digest.name == name
    assert found._mgf._algorithm.name == "sha256"
    assert found._salt_length == salt
    assert isinstance(found, padding.PSS)


TRAILER = der.element(0xA3, der.integer(2))
GOOD = PssParameters(SHA256, SHA256, 32).encode()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30\0",
        b"\x05\0",
        b"\x30\x05",
        PssParameters(SHA1, SHA256, 32).encode(),
        PssParameters(SHA256, SHA1, 32).encode(),
        PssParameters(SHA256, SHA256, MAX_SALT + 1).encode(),
        PssParameters(SHA256, SHA256, -1).encode(),
        der.element(0x30, GOOD[2:], TRAILER),
        der.element(0x30, GOOD[2:], GOOD[2:]),
        der.element(0x30, GOOD[2:], der.NULL),
        GOOD.replace(bytes.fromhex("2a864886f70d010108"), bytes.fromhex("2a864886f70d010109")),
    ],
)
def test_all_else_is_refused(octets: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_pss(octets)


def test_the_one_trailer_may_be_said() -> None:
    assert read_pss(der.element(0x30, GOOD[2:], der.element(0xA3, der.integer(1))))
