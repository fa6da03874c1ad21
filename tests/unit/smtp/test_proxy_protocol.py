"""Headers of the PROXY protocol, read octet by octet and written."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.smtp.proxy_protocol import (
    MAX_BLOCK,
    SIGNATURE,
    Ends,
    ProxyProtocolError,
    Unnamed,
    block_for,
    read_header,
)

REST = b"EHLO what follows belongs to others\r\n"
V4 = struct.pack("!4s4sHH", bytes([192, 0, 2, 7]), bytes([127, 0, 0, 1]), 40000, 25)
V6 = struct.pack("!16s16sHH", bytes(15) + b"\x09", bytes(15) + b"\x01", 40000, 25)


class Wire:
    """Gives what came in pieces of at most `piece` octets."""

    def __init__(self, raw: bytes, piece: int = 65535) -> None:
        self.raw = raw
        self.piece = piece

    async def receive(self, count: int) -> bytes:
        got, self.raw = (
            self.raw[: min(count, self.piece)],
            self.raw[min(count, self.piece) :],
        )
        return got


def version2(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


READ = [
    (b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25\r\n", Ends("192.0.2.7", 40000, "127.0.0.1", 25)),
    (b"PROXY TCP6 ::9 ::1 0 65535\r\n", Ends("::9", 0, "::1", 65535)),
    (
        b"PROXY TCP6 " + b" ".join([b"FFFF:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n",
        Ends("ffff:" * 7 + "ffff", 65535, "ffff:" * 7 + "ffff", 65535),
    ),
    (b"PROXY UNKNOWN\r\n", Unnamed.UNKNOWN),
    (b"PROXY UNKNOWN 192.0.2.7 what ever 1 2\r\n", Unnamed.UNKNOWN),
    (version2(0x21, 0x11, V4), Ends("192.0.2.7", 40000, "127.0.0.1", 25)),
    (version2(0x21, 0x21, V6), Ends("::9", 40000, "::1", 25)),
    (version2(0x21, 0x11, V4 + b"\x04\x00\x01x"), Ends("192.0.2.7", 40000, "127.0.0.1", 25)),
    (version2(0x20, 0x00, b""), Unnamed.LOCAL),
    (version2(0x20, 0xFF, b"whatever"), Unnamed.LOCAL),
    (version2(0x21, 0x00, b""), Unnamed.UNKNOWN),
    (version2(0x21, 0x01, V4), Unnamed.UNKNOWN),
    (version2(0x21, 0x12, V4), Unnamed.UNKNOWN),
    (version2(0x21, 0x31, bytes(216)), Unnamed.UNKNOWN),
]


@pytest.mark.parametrize(("raw", "said"), READ)
@pytest.mark.parametrize("piece", [1, 65535])
async def test_a_header_is_read_and_nothing_behind_it(
    raw: bytes, said: Ends | Unnamed, piece: int
) -> None:
    wire = Wire(raw + REST, piece)
    assert await read_header(wire.receive) == said
    assert wire.raw == REST


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"EHLO client.example.test\r\n", "no header"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30), "no header"),
        (b"proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "no header"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25\n" + b"x" * 99, "does not end in CRLF"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25\r" + b"x" * 99, "does not end"),
        (b"PROXY UNKNOWN a\rb\r\n", "malformed"),
        (b"PROXY UNKNOWNS\r\n", "malformed"),
        (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "does not end"),
        (b"PROXY  TCP4 192.0.2.7 127.0.0.1 40000 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25 \r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 040000 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 +400 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 65536 25\r\n", "beyond 65535"),
        (b"PROXY TCP4 192.0.2.07 127.0.0.1 40000 25\r\n", "malformed address"),
        (b"PROXY TCP4 192.0.2.256 127.0.0.1 40000 25\r\n", "malformed address"),
        (b"PROXY TCP4 ::9 ::1 40000 25\r\n", "another family"),
        (b"PROXY TCP6 192.0.2.7 127.0.0.1 40000 25\r\n", "another family"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 40000 25\r\n", "malformed"),
        (b"PROXY UDP4 192.0.2.7 127.0.0.1 40000 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7", "ended within"),
        (b"", "ended within"),
        (SIGNATURE + b"\x21\x11\x00\x0c" + V4[:11], "ended within"),
        (version2(0x31, 0x11, V4), "version or command"),
        (version2(0x11, 0x11, V4), "version or command"),
        (version2(0x22, 0x11, V4), "version or command"),
        (version2(0x21, 0x41, V4), "family or transport"),
        (version2(0x21, 0x13, V4), "family or transport"),
        (version2(0x21, 0x11, V4[:11]), "shorter than"),
        (version2(0x21, 0x21, V4), "shorter than"),
        (version2(0x21, 0x11, bytes(MAX_BLOCK + 1)), "a header of 16385 octets"),
    ],
)
async def test_what_is_no_header_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(ProxyProtocolError, match=says):
        await read_header(Wire(raw).receive)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=40).map(lambda x: SIGNATURE + x)))
async def test_whatever_comes_raises_nothing_else(raw: bytes) -> None:
    try:
        said = await read_header(Wire(raw).receive)
    except ProxyProtocolError:
        return
    assert isinstance(said, Ends | Unnamed)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (None, Unnamed.LOCAL),
        (Ends("", 0), Unnamed.LOCAL),
        (Ends("192.0.2.7", 1, "192.0.2.1", 2), Ends("192.0.2.7", 1, "192.0.2.1", 2)),
        (Ends("192.0.2.7", 1), Ends("192.0.2.7", 1, "0.0.0.0", 0)),  # noqa: S104
        (Ends("2001:db8::7", 1), Ends("2001:db8::7", 1, "::", 0)),
        (Ends("192.0.2.7", 1, "::1", 2), Ends("::ffff:c000:207", 1, "::1", 2)),
        (Ends("2001:db8::7", 1, "192.0.2.1", 2), Ends("2001:db8::7", 1, "::ffff:c000:201", 2)),
    ],
)
async def test_what_is_written_is_read_so(ends: Ends | None, said: Ends | Unnamed) -> None:
    wire = Wire(block_for(ends))
    assert await read_header(wire.receive) == said
    assert wire.raw == b""
