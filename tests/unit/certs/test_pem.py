import pytest

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.pem import looks_like_pem, pem_blocks

BLOCK = b"-----BEGIN THING-----\nAAEC\n-----END THING-----\n"


def test_blocks_are_found_whatever_stands_between_them() -> None:
    raw = b"subject=x\n" + BLOCK + b"--- noise ---\r\n" + BLOCK.replace(b"\n", b"\r\n")
    assert [(block.label, block.decode()) for block in pem_blocks(raw)] == [
        ("THING", b"\0\1\2"),
        ("THING", b"\0\1\2"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"-----BEGIN THING",
        b"-----BEGIN THING-----\nAAEC\n",
        b"-----BEGIN THING-----\nAAEC\n-----END OTHER-----\n",
    ],
)
def test_an_incomplete_block_is_no_block(raw: bytes) -> None:
    assert list(pem_blocks(raw)) == []


def test_bad_base64_is_a_certificate_error() -> None:
    (block,) = pem_blocks(BLOCK.replace(b"AAEC", b"A*EC"))
    with pytest.raises(CertificateError, match="not valid base64"):
        block.decode()


def test_a_block_shows_only_its_label() -> None:
    (block,) = pem_blocks(BLOCK)
    assert "AAEC" not in repr(block)


def test_der_does_not_look_like_pem() -> None:
    assert looks_like_pem(BLOCK)
    assert not looks_like_pem(b"\x30\x03\x02\x01\x00")
