"""Files under a password: they open whole or not at all, and say why."""

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.sealed import MAGIC, MAX_HEADER, PIECE, TAG_OCTETS, seal, unseal

PASSWORD = b"correct horse"
FAST = 2  # the cost of guessing does not matter here


def sealed(*text: bytes) -> bytes:
    out = io.BytesIO()
    seal(text, out, PASSWORD, n=FAST)
    return out.getvalue()


def opened(raw: bytes, password: bytes = PASSWORD) -> bytes:
    return b"".join(unseal(io.BytesIO(raw), password))


def refused(raw: bytes, password: bytes = PASSWORD) -> str:
    with pytest.raises(StoreError) as error:
        opened(raw, password)
    return str(error.value)


def header_end(raw: bytes) -> int:
    return raw.index(b"\n", len(MAGIC)) + 1


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5])
def test_what_is_sealed_opens_again(size: int) -> None:
    text = bytes(range(256)) * (size // 256 + 1)
    raw = sealed(text[:size])
    assert opened(raw) == text[:size]
    assert text[:100] not in raw or size < 100


@given(st.lists(st.binary(max_size=200), max_size=8))
@settings(deadline=None)
def test_how_the_text_comes_in_does_not_matter(text: list[bytes]) -> None:
    assert opened(sealed(*text)) == b"".join(text)


def test_two_files_of_one_text_have_nothing_in_common() -> None:
    one, two = sealed(b"text"), sealed(b"text")
    assert one[header_end(one) :] != two[header_end(two) :]


def test_a_wrong_password_is_told() -> None:
    assert refused(sealed(b"text" * PIECE), b"wrong") == (
        "the password is wrong, or the backup was altered"
    )


def test_every_octet_counts() -> None:
    raw = sealed(b"some text")
    for at in range(len(raw)):
        altered = bytearray(raw)
        altered[at] ^= 1
        refused(bytes(altered))


def test_every_end_but_the_last_is_too_early() -> None:
    raw = sealed(b"x" * (PIECE + 10))
    for end in (*range(len(MAGIC) + 300), PIECE, header_end(raw) + 4 + PIECE + TAG_OCTETS):
        refused(raw[:end])
    assert refused(raw[: header_end(raw) + 4 + PIECE + TAG_OCTETS]) == "the backup is cut off"
    assert refused(raw[:-1]) == "the backup is cut off"
    assert refused(raw[: header_end(raw)]) == "the backup is cut off"


def test_what_stands_behind_the_end_is_an_alteration() -> None:
    raw = sealed(b"text")
    assert "altered" in refused(raw + raw[header_end(raw) :])
    assert refused(raw + b"x") == "the backup is cut off"


def test_pieces_cannot_change_places() -> None:
    raw, size = sealed(b"a" * PIECE + b"b" * PIECE + b"c"), 4 + PIECE + TAG_OCTETS
    head = header_end(raw)
    one, two = raw[head : head + size], raw[head + size : head + 2 * size]
    refused(raw[:head] + two + one + raw[head + 2 * size :])
    assert "altered" in refused(raw[:head] + one + one + raw[head + 2 * size :])


@pytest.mark.parametrize("raw", [b"", b"-----BEGIN PKCS12", MAGIC[:-1]])
def test_another_file_is_told(raw: bytes) -> None:
    assert refused(raw) == "it is no backup of smime-proxy"


def changed(change: Callable[[dict[str, object]], object]) -> bytes:
    raw = sealed(b"text")
    said = json.loads(raw[len(MAGIC) : header_end(raw)])
    change(said)
    return MAGIC + json.dumps(said).encode() + b"\n" + raw[header_end(raw) :]


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2**30},
        {"n": 3},
        {"n": 1},
        {"n": -2},
        {"r": 10**9},
        {"r": 0},
        {"r": -8, "p": -8},
        {"p": 0},
        {"kdf": "none"},
        {"cipher": "null"},
    ],
)
def test_a_file_cannot_ask_for_all_memory_or_another_cipher(change: dict[str, object]) -> None:
    raw = changed(lambda said: said.update(change))
    assert "in a way this version does not know" in refused(raw)


@pytest.mark.parametrize("change", [{"salt": 1}, {"nonce": "AAAA"}, {"n": "x"}, {"salt": "%"}])
def test_a_header_that_is_none_is_an_alteration(change: dict[str, object]) -> None:
    assert "altered" in refused(changed(lambda said: said.update(change)))
    assert "altered" in refused(changed(lambda said: said.pop("salt")))
    assert "altered" in refused(MAGIC + b"{" * (MAX_HEADER + 10))


def test_a_piece_is_never_longer_than_it_may_be() -> None:
    raw = sealed(b"text")
    head = header_end(raw)
    assert "altered" in refused(raw[:head] + b"\xff\xff\xff\xff" + raw[head + 4 :])
    assert "altered" in refused(raw[:head] + b"\x00\x00\x00\x01" + raw[head + 4 :])
