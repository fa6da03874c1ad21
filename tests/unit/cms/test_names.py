from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der, names


def name(*parts: tuple[str, int, bytes]) -> bytes:
    return der.element(
        der.SEQUENCE,
        *(
            der.element(
                der.SET,
                der.element(der.SEQUENCE, der.object_identifier(oid), der.element(tag, value)),
            )
            for oid, tag, value in parts
        ),
    )


CN, O = "2.5.4.3", "2.5.4.10"  # noqa: E741 - as the attribute is written
UTF8, PRINTABLE, BMP = 12, 19, 30


def test_names_are_the_same_whatever_case_blanks_and_string_type() -> None:
    """E50."""
    one = name((O, PRINTABLE, b"Example  Org"), (CN, UTF8, b" Issuing CA"))
    other = name((O, UTF8, b"example org"), (CN, BMP, "ISSUING ca ".encode("utf-16-be")))
    assert names.same(one, other)


def test_names_differ_by_value_attribute_and_order() -> None:
    one = name((O, UTF8, b"a"), (CN, UTF8, b"b"))
    assert not names.same(one, name((O, UTF8, b"a"), (CN, UTF8, b"c")))
    assert not names.same(one, name((O, UTF8, b"a"), (O, UTF8, b"b")))
    assert not names.same(one, name((CN, UTF8, b"b"), (O, UTF8, b"a")))


def test_unreadable_names_are_the_same_only_octet_for_octet() -> None:
    assert names.same(b"junk", b"junk")
    assert not names.same(b"junk", b"other")
    assert names.printable(b"junk") == ""


def test_values_that_are_no_text_compare_and_print_by_their_encoding() -> None:
    one = name((CN, UTF8, b"\xff"))
    assert not names.same(one, name((CN, UTF8, b"\xfe")))
    assert names.printable(one) == "CN=#0c01ff"


@given(st.text(min_size=1, max_size=60))
def test_printed_names_are_one_line_that_forges_nothing(text: str) -> None:
    printed = names.printable(name((CN, UTF8, text.encode("utf-8", "replace"))))
    assert printed.isprintable()
    assert "\n" not in printed


def test_names_print_as_cryptography_prints_them() -> None:
    made = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'A "quoted", # < ; name+'),
            x509.NameAttribute(NameOID.COMMON_NAME, "# Müller "),
        ]
    )
    assert names.printable(made.public_bytes()) == made.rfc4514_string()


def test_a_printed_name_is_cut() -> None:
    assert len(names.printable(name((CN, UTF8, b"x" * 5000)))) == names.MAX_PRINTED


def test_an_attribute_that_is_no_pair_makes_a_name_unreadable() -> None:
    odd = der.element(der.SEQUENCE, der.element(der.SET, der.element(der.SEQUENCE)))
    assert names.printable(odd) == ""
