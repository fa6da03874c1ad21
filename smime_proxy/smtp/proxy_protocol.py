"""The PROXY protocol: a load balancer says in front of all whose connection it hands on.

HAProxy's "The PROXY protocol", versions 1 and 2 (doc/proxy-protocol.txt, 2.1 and 2.2). Who may say
so is decided elsewhere. aiosmtpd's reader wants a stream of its own and takes more than the header
from it; what follows belongs to TLS.
"""

import re
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address

from smime_proxy.smtp.errors import SmtpError

MAX_LINE = 107  # octets of version 1 with CRLF, 2.1
MAX_BLOCK = 16 * 1024  # octets behind the fixed part of version 2; HAProxy's own buffer
MAX_PORT = 65535  # 16 bits, RFC 9293 3.1

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = 16  # octets of version 2 in front of the addresses
_SHORTEST = 15  # octets both versions have at least: `PROXY UNKNOWN` with CRLF
_VERSION = 2
_LOCAL, _PROXY = 0, 1
_INET, _INET6, _UNIX = 1, 2, 3
_STREAM, _DATAGRAM = 1, 2
_ADDRESSES = {_INET: (IPv4Address, "!4s4sHH"), _INET6: (IPv6Address, "!16s16sHH")}
_PORT = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) " + _PORT + b" " + _PORT)
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")


class ProxyProtocolError(SmtpError):
    """What came is no header of the PROXY protocol; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection as the client made it: addresses as text, ports."""

    address: str
    port: int
    local_address: str = ""
    local_port: int = 0


class Unnamed(Enum):
    """Headers that name no client."""

    LOCAL = auto()  # the connection is the proxy's own, to see whether we live
    UNKNOWN = auto()  # there is a client, and the proxy cannot say who


async def read_header(receive: Callable[[int], Awaitable[bytes]]) -> Ends | Unnamed:
    """Read one header and not an octet more; `receive` gives up to so many, b"" at the end.

    Raises `ProxyProtocolError`. Deadlines are the caller's.
    """
    begun = await _exactly(receive, _SHORTEST)
    if begun.startswith(b"PROXY "):
        while not begun.endswith(b"\n"):
            if len(begun) == MAX_LINE:
                raise ProxyProtocolError("the line of version 1 does not end")
            begun += await _exactly(receive, 1)
        return parse_line(begun)
    if not begun.startswith(SIGNATURE):
        raise ProxyProtocolError("no header")
    begun += await _exactly(receive, _FIXED - _SHORTEST)
    (length,) = struct.unpack("!H", begun[-2:])
    if length > MAX_BLOCK:
        raise ProxyProtocolError(f"a header of {length} octets")
    return parse_block(begun[12], begun[13], await _exactly(receive, length))


def parse_line(line: bytes) -> Ends | Unnamed:
    """Read the header of version 1, CRLF included (2.1); raises `ProxyProtocolError`."""
    if not line.endswith(b"\r\n"):
        raise ProxyProtocolError("the line of version 1 does not end in CRLF")
    text = line[:-2]
    if _UNKNOWN.fullmatch(text):
        return Unnamed.UNKNOWN
    match = _LINE.fullmatch(text)
    if match is None:
        raise ProxyProtocolError("a malformed line of version 1")
    source, destination = (_address(match[number], int(match[1])) for number in (2, 3))
    ports = int(match[4]), int(match[5])
    if max(ports) > MAX_PORT:
        raise ProxyProtocolError("a port beyond 65535")
    return Ends(source, ports[0], destination, ports[1])


def parse_block(command: int, family: int, block: bytes) -> Ends | Unnamed:
    """Read version 2 by its 13th and 14th octet and what follows the 16th (2.2).

    What is behind the addresses (TLVs) counts for nothing. Raises `ProxyProtocolError`.
    """
    version, command = divmod(command, 16)
    if version != _VERSION or command not in {_LOCAL, _PROXY}:
        raise ProxyProtocolError("an unknown version or command")
    if command == _LOCAL:
        return Unnamed.LOCAL
    family, transport = divmod(family, 16)
    if family > _UNIX or transport > _DATAGRAM:
        raise ProxyProtocolError("an unknown address family or transport")
    if family not in _ADDRESSES or transport != _STREAM:
        return Unnamed.UNKNOWN
    make, form = _ADDRESSES[family]
    if len(block) < struct.calcsize(form):
        raise ProxyProtocolError("shorter than its addresses")
    source, destination, port, local_port = struct.unpack_from(form, block)
    return Ends(str(make(source)), port, str(make(destination)), local_port)


def block_for(ends: Ends | None) -> bytes:
    """Write the header of version 2; None, or ends without addresses, is LOCAL (2.2).

    Where one end is IPv4 and the other IPv6 both are written as IPv6.
    """
    if ends is None or not ends.address:
        return SIGNATURE + bytes([_VERSION << 4 | _LOCAL, 0, 0, 0])
    source = ip_address(ends.address)
    unspecified = "0.0.0.0" if source.version == 4 else "::"  # noqa: S104, PLR2004 - no socket's
    destination = ip_address(ends.local_address or unspecified)
    family = _INET if source.version == destination.version == 4 else _INET6  # noqa: PLR2004
    _, form = _ADDRESSES[family]
    packed = (_packed(source, family), _packed(destination, family))
    block = struct.pack(form, *packed, ends.port, ends.local_port)
    head = bytes([_VERSION << 4 | _PROXY, family << 4 | _STREAM])
    return SIGNATURE + head + struct.pack("!H", len(block)) + block


def _packed(address: IPv4Address | IPv6Address, family: int) -> bytes:
    if family == _INET6 and address.version == 4:  # noqa: PLR2004
        return bytes(10) + b"\xff\xff" + address.packed  # RFC 4291 2.5.5.2
    return address.packed


def _address(text: bytes, version: int) -> str:
    try:
        address = ip_address(text.decode())
    except ValueError:
        raise ProxyProtocolError("a malformed address") from None
    if address.version != version:
        raise ProxyProtocolError("an address of another family")
    return str(address)


async def _exactly(receive: Callable[[int], Awaitable[bytes]], count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = await receive(count - len(got))
        if not more:
            raise ProxyProtocolError("the connection ended within the header")
        got += more
    return got
