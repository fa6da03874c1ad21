"""A file that holds a CMS object and no message, in the forms people keep them in."""

import base64

import pytest

from smime_proxy.smime.bare_cms import find_cms, is_ber, without_mark
from tests.unit.smime.cases import message, opaque, signature

DER = signature()
TEXT = base64.encodebytes(DER)
LABELS = ["PKCS7", "CMS", "SIGNED MESSAGE", "ENCRYPTED MESSAGE", "PKCS #7 SIGNED DATA"]


def pem(label: str, text: bytes = TEXT) -> bytes:
    return f"-----BEGIN {label}-----\n".encode() + text + f"-----END {label}-----\n".encode()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_pem_is_read_under_every_label_in_use(label: str, line_end: bytes) -> None:
    assert find_cms(pem(label).replace(b"\n", line_end)) == DER
    assert find_cms(b"\n  \n" + pem(label)) == DER
    assert find_cms(b"The signature of the contract, see below.\n\n" + pem(label)) == DER


def test_der_ber_and_base64_alone_are_read() -> None:
    assert find_cms(DER) == DER
    assert find_cms(b"\x30\x80\x06\x09") == b"\x30\x80\x06\x09"
    assert find_cms(TEXT) == find_cms(TEXT.replace(b"\n", b"\r\n")) == DER
    assert find_cms(TEXT.replace(b"\n", b"")) == DER


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0",
        b"0\r\n",
        b"09:30 we meet\n",
        b"Minutes of the meeting\n",
        b"MIME-Version: 1.0\r\n\r\n" + TEXT,
        message(opaque()),
        b"Subject: keys\n\n" + pem("CMS"),
        b"From x Mon Jun  1\nSubject: keys\n\n" + pem("CMS"),
        b"-----BEGIN CERTIFICATE-----\n" + TEXT,
        b"-----BEGIN CMS-----\n" + TEXT,
        TEXT + b"and more!\n",
    ],
)
def test_what_may_be_a_message_is_none(content: bytes) -> None:
    assert find_cms(content) is None


def test_pem_that_cannot_be_decoded_is_an_object_nobody_can_read() -> None:
    assert find_cms(pem("CMS", b"AAA\n")) == b""


def test_a_short_object_is_told_from_text_by_its_identifier() -> None:
    assert is_ber(b"\x30\x0b\x06\x09")
    assert not is_ber(b"\x300\n\x06")
    assert not is_ber(b"\x30")


@pytest.mark.parametrize(
    "rest", [b"\x82\x04\x00\x30\x82", b"\x83\x01\x00\x00\x02\x01", b"\x80\x30"]
)
def test_certificates_and_key_files_in_der_are_no_cms(rest: bytes) -> None:
    assert not is_ber(b"\x30" + rest)


def test_an_object_cut_off_in_its_length_is_one_nobody_can_read() -> None:
    assert is_ber(b"\x30\x82")
    assert is_ber(b"\x30\x82\x04\x00")


def test_a_byte_order_mark_is_left_out() -> None:
    assert without_mark(b"\xef\xbb\xbfFrom: x") == b"From: x"
    assert without_mark(b"From: x") == b"From: x"
