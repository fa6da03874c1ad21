"""Make the content of a message safe to send after DATA: dots doubled, bare CR and LF refused.

RFC 5321 4.5.2 (transparency), RFC 5321 2.3.8 (lines end with CRLF only).
"""

from collections.abc import Iterable, Iterator

from smime_proxy.smtp.errors import ContentError

BLOCK = 256 * 1024  # octets in one piece: bounds copies and how long the event loop is held


def stuff(content: Iterable[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """Give the octets to send between the 354 reply and the final `.CRLF`, in blocks.

    `content` may be cut anywhere, also inside `CRLF .`; time is linear, each block is about
    `size` octets. A last line without CRLF gets one. Raises `ContentError` on reaching a bare CR
    or LF, after the blocks before it were given (RFC 5321 4.5.2, 2.3.8).
    """
    carry = b""  # a CR whose LF is in the next block
    line_start = True
    for block in _blocks(content, size):
        raw = carry + block if carry else block
        carry = b""
        if raw.endswith(b"\r"):
            raw, carry = raw[:-1], b"\r"
        if not raw:
            continue
        _refuse_bare(raw)
        stuffed = raw.replace(b"\r\n.", b"\r\n..")
        yield b"." + stuffed if line_start and raw.startswith(b".") else stuffed
        line_start = raw.endswith(b"\r\n")
    if carry:
        raise ContentError("the content has a bare CR")
    if not line_start:
        yield b"\r\n"


def _blocks(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    pending: list[bytes] = []
    held = 0
    for buffer in content:
        for start in range(0, len(buffer), size):
            pending.append(buffer[start : start + size])
            held += len(pending[-1])
            if held >= size:
                yield b"".join(pending)
                pending, held = [], 0
    if pending:
        yield b"".join(pending)


def _refuse_bare(raw: bytes) -> None:
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        raise ContentError("the content has a bare CR or LF")
