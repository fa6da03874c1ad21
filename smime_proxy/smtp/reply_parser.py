"""Read SMTP replies out of a byte stream, strictly and within bounds; no I/O.

RFC 5321 4.2 and 4.2.1 (reply grammar), RFC 5321 4.5.3.1.5 (reply lines).
"""

import re
from functools import lru_cache

from smime_proxy.reply import Reply, read_reply
from smime_proxy.smtp.errors import ReplySyntaxError

MAX_LINE = 2048  # octets with CRLF; RFC 5321 says 512, Postfix's line_length_limit is 2048
MAX_LINES = 128  # lines of one reply; EHLO, the longest in use, has about 20

_CACHED_REPLIES = 512  # of one line; nearly all commands get one of a few; bounds memory
_LINE = re.compile(rb"([2-5][0-5][0-9])(?:([ -])([^\r\n]*))?\r\n")
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "?")


class ReplyParser:
    """A byte stream cut into replies, however the network chunked it."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[str] = []

    @property
    def pending(self) -> bytes:
        """Give the octets that begin a reply not yet complete; empty between replies."""
        return self._code or self._rest

    def feed(self, raw: bytes) -> list[Reply]:
        """Take what arrived and give the replies completed by it, in order.

        Raises `ReplySyntaxError` for anything else: no code, a code that changes between lines,
        a bare CR or LF, a line over `MAX_LINE` octets, a reply over `MAX_LINES` lines.
        """
        raw = self._rest + raw
        replies: list[Reply] = []
        start = 0
        while match := _LINE.match(raw, start):
            start = match.end()
            reply = self._line(match)
            if reply is not None:
                replies.append(reply)
        self._rest = raw[start:]
        self._check_rest()
        return replies

    def _line(self, match: re.Match[bytes]) -> Reply | None:
        code, mark, text = match.groups()
        if len(match[0]) > MAX_LINE:
            raise ReplySyntaxError("a reply line is too long")
        if self._code not in (b"", code):
            raise ReplySyntaxError("the code changes within a reply")
        if mark != b"-" and not self._lines:
            return _single(code, text or b"")
        self._lines.append(_shown(text or b""))
        if mark == b"-":
            self._code = code
            if len(self._lines) >= MAX_LINES:
                raise ReplySyntaxError("a reply has too many lines")
            return None
        reply = read_reply(int(code), self._lines)
        self._code, self._lines = b"", []
        return reply

    def _check_rest(self) -> None:
        if b"\n" in self._rest:
            raise ReplySyntaxError("a line is no SMTP reply")
        if len(self._rest) >= MAX_LINE:
            raise ReplySyntaxError("a reply line is too long")


@lru_cache(_CACHED_REPLIES)
def _single(code: bytes, text: bytes) -> Reply:
    return read_reply(int(code), [_shown(text)])


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").translate(_CONTROLS)
