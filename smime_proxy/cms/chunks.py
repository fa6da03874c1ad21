"""Cuts and joins content so that it is encrypted and decrypted in pieces of a good size.

RFC 5652 6.2 allows any chunks; writers use 1 octet to the whole message.
"""

import io
from collections.abc import Iterator, Sequence

from smime_proxy.cms.der import Octets, size

CHUNK = 65_536  # octets encrypted or decrypted at a time; bounds what is held besides


def chunks(ciphertext: Sequence[Octets]) -> Iterator[Octets]:
    """The same octets in chunks of a good size: small pieces joined, large ones cut."""
    waiting: list[Octets] = []
    length = 0
    for piece in ciphertext:
        if len(piece) > CHUNK:
            yield b"".join(waiting)
            waiting, length = [], 0
            view = memoryview(piece)
            yield from (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))
            continue
        waiting.append(piece)
        length += len(piece)
        if length >= CHUNK:
            yield b"".join(waiting)
            waiting, length = [], 0
    yield b"".join(waiting)


def room(length: int) -> io.BytesIO:
    """A buffer to write so many octets into; it gives them away without a copy.

    One that grows is moved at times, and then in memory twice.
    """
    buffer = io.BytesIO()
    if length:
        buffer.seek(length - 1)
        buffer.write(b"\0")
        buffer.seek(0)
    return buffer


def tail(ciphertext: Sequence[Octets], length: int) -> bytes:
    """The last octets, or all when there are fewer."""
    found: list[bytes] = []
    for piece in reversed(ciphertext):
        if length <= 0:
            break
        found.append(bytes(piece[-length:]))
        length -= len(found[-1])
    return b"".join(reversed(found))


def without_tail(ciphertext: Sequence[Octets], length: int) -> list[Octets]:
    """What is before the last octets, nothing copied."""
    left = max(0, size(ciphertext) - length)
    found: list[Octets] = []
    for piece in ciphertext:
        if left <= 0:
            break
        found.append(memoryview(piece)[:left])
        left -= len(piece)
    return found
