"""BER made definite (X.690 8.1.3.6, 8.7.3); row E83."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.certs.definite import MAX_DEPTH, MAX_ELEMENTS, to_definite
from smime_proxy.certs.errors import CertificateError
from tests import pki


def test_der_stays_as_it_is() -> None:
    der = pki.root().der
    assert to_definite(der) == der


@pytest.mark.parametrize(
    ("ber", "der"),
    [
        ("3080 020105 0000", "3003020105"),
        ("2480 040161 04020000 0000", "0403610000"),
        ("2408 040161 2403 040162", "04026162"),
        ("a080 2480 0401ff 0000 0000", "a0030401ff"),
        ("308103020105", "3003020105"),
        ("3080 2400 0000", "30020400"),
    ],
)
def test_indefinite_and_constructed_forms_are_rewritten(ber: str, der: str) -> None:
    assert to_definite(bytes.fromhex(ber)) == bytes.fromhex(der)


def test_long_strings_in_pieces_become_one() -> None:
    pieces = b"".join(b"\x04\x7f" + bytes(127) for _ in range(1000))
    assert to_definite(b"\x24\x80" + pieces + b"\x00\x00") == b"\x04\x83\x01\xf0\x18" + bytes(
        127000
    )


@pytest.mark.parametrize(
    "ber",
    [
        "",
        "30",
        "3005020105",
        "3080020105",
        "0480",
        "1f8101020000",
        "3003020205",
        "30030201050000"[:8],
    ],
)
def test_broken_ber_is_our_error(ber: str) -> None:
    with pytest.raises(CertificateError):
        to_definite(bytes.fromhex(ber))


def test_depth_and_number_of_elements_are_bounded() -> None:
    deep = b"\x30\x80" * (MAX_DEPTH + 2)
    with pytest.raises(CertificateError, match="too deeply"):
        to_definite(deep)
    fine = b"\x24\x80" + b"\x04\x00" * MAX_ELEMENTS + b"\x00\x00"
    with pytest.raises(CertificateError, match="too finely"):
        to_definite(fine)


@given(st.binary(max_size=300))
def test_any_octets_give_der_or_our_error(raw: bytes) -> None:
    try:
        der = to_definite(raw)
    except CertificateError:
        return
    assert to_definite(der) == der
