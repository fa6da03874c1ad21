"""Names compared by value (RFC 5280 7.1); rows E50."""

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.certs.names import MAX_NAME_OCTETS, name_key, read_element


def common_name(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> bytes:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)]).public_bytes()


def teletex_name(text: str) -> bytes:
    raw = text.encode("latin-1")
    sizes = [len(raw) + 11, len(raw) + 9, len(raw) + 7]
    header = bytes([0x30, sizes[0], 0x31, sizes[1], 0x30, sizes[2], 6, 3, 0x55, 4, 3, 0x14])
    return header + bytes([len(raw)]) + raw


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (common_name("Good CA"), common_name("GOOD  ca")),
        (common_name("Good CA"), common_name(" Good CA ")),
        (common_name("Good CA"), common_name("Good CA", _ASN1Type.PrintableString)),
        (common_name("Müller"), teletex_name("MÜLLER")),
        (common_name("Müller"), common_name("müller", _ASN1Type.BMPString)),
        (common_name("Mu\u0308ller"), common_name("Müller")),
    ],
)
def test_case_blanks_string_type_and_composition_do_not_matter(one: bytes, other: bytes) -> None:
    """E50: an issuer is found however its name was typed."""
    assert one != other
    assert name_key(one) == name_key(other)


def test_different_values_types_or_structures_are_different_names() -> None:
    organisation = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A")])
    two = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "A"),
            x509.NameAttribute(NameOID.COMMON_NAME, "B"),
        ]
    )
    swapped = x509.Name(reversed(list(two)))
    joined = x509.Name([x509.RelativeDistinguishedName(list(two))])
    names = [
        common_name("A"),
        common_name("B"),
        organisation.public_bytes(),
        two.public_bytes(),
        swapped.public_bytes(),
        joined.public_bytes(),
        x509.Name([]).public_bytes(),
    ]
    assert len({name_key(name) for name in names}) == len(names)


def test_the_order_within_one_relative_name_does_not_matter() -> None:
    first = bytes.fromhex("30 08 06 03 550403 0c01 41")
    second = bytes.fromhex("30 08 06 03 55040a 0c01 42")
    one = bytes([0x30, 22, 0x31, 20]) + first + second
    other = bytes([0x30, 22, 0x31, 20]) + second + first
    assert name_key(one) == name_key(other)


def test_what_is_no_name_equals_only_itself() -> None:
    name = common_name("A")
    assert name_key(name[:-1]) != name_key(name)
    assert name_key(name + b"\x00") != name_key(name)
    assert name_key(b"") == name_key(b"") != name_key(x509.Name([]).public_bytes())
    huge = common_name("x" * 60) * (MAX_NAME_OCTETS // 60)
    assert name_key(huge) == b"\x00" + huge


@given(st.binary(max_size=200))
def test_any_octets_have_a_key(raw: bytes) -> None:
    assert name_key(raw) == name_key(bytes(raw))


@pytest.mark.parametrize("der", [b"\x30\x80\x00\x00", b"\x1f\x81\x01\x00", b"\x04\x02\x00"])
def test_indefinite_long_tagged_and_cut_elements_are_refused(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"indefinite|cut short"):
        read_element(der, 0)


def test_a_long_length_is_read() -> None:
    der = b"\x04\x82\x01\x00" + bytes(256)
    assert read_element(der, 0) == (0x04, 4, 260)
