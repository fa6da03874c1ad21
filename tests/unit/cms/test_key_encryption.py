"""Deriving and using key-encryption keys, compared with what the RFCs and others compute."""

import pytest
from asn1crypto import core
from cryptography.hazmat.primitives import hashes

from smime_proxy.cms import ber
from smime_proxy.cms.key_encryption import (
    AES128_WRAP,
    AES256_WRAP,
    hkdf,
    kem_other_info,
    shared_info,
    wrap_for,
    x963,
)


@pytest.mark.parametrize(
    ("key", "secret", "info", "expected"),
    [  # NIST CAVS 12.0 vectors of ANSI X9.63-2001 with SHA-256
        (
            16,
            "96c05619d56c328ab95fe84b18264b08725b85e33fd34f08",
            "",
            "443024c3dae66b95e6f5670601558f71",
        ),
        (
            16,
            "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d",
            "75eef81aa3041e33b80971203d2c0c52",
            "c498af77161cc59f2962b9a713e2b215",
        ),
    ],
)
def test_x963_is_that_of_others(key: int, secret: str, info: str, expected: str) -> None:
    derived = x963(hashes.SHA256(), bytes.fromhex(secret), bytes.fromhex(info), key)
    assert derived[: len(expected) // 2].hex() == expected


def test_hkdf_without_salt_is_that_of_rfc_5869() -> None:
    """Appendix A.3."""
    derived = hkdf(hashes.SHA256(), b"\x0b" * 22, b"", 42)
    assert derived.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_aes_key_wrap_is_that_of_rfc_3394() -> None:
    """4.6: 256 bits of key with 256 bits."""
    kek, key = (
        bytes(range(32)),
        bytes.fromhex("00112233445566778899aabbccddeeff") + bytes(range(16)),
    )
    assert ber.octet_string(ber.read_only(AES256_WRAP.wrap(kek, key))).hex() == (
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    )


@pytest.mark.parametrize(
    ("length", "wrap"), [(16, AES128_WRAP), (24, AES256_WRAP), (32, AES256_WRAP)]
)
def test_no_key_is_wrapped_with_a_weaker_one(length: int, wrap: object) -> None:
    assert wrap_for(bytes(length)) is wrap


def test_the_infos_are_the_ones_of_the_rfcs() -> None:
    name = "30 0b 06 09 60 86 48 01 65 03 04 01 2d"  # id-aes256-wrap, parameters absent
    assert shared_info(AES256_WRAP) == bytes.fromhex(f"30 15 {name} a2 06 04 04 00 00 01 00")
    assert shared_info(AES128_WRAP)[-4:] == (128).to_bytes(4)
    assert kem_other_info(AES256_WRAP) == bytes.fromhex(f"30 10 {name} 02 01 20")
    assert core.load(kem_other_info(AES128_WRAP))[1].native == 16
