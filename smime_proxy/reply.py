"""SMTP replies as values: a code, an enhanced status whose class follows the code, and text.

RFC 5321 4.2 (replies), RFC 3463 and RFC 2034 (enhanced status codes).
"""

import re
from dataclasses import dataclass, field

MAX_REPLY_LINE = 512  # octets with CRLF, RFC 5321 4.5.3.1.5
_UNSHOWN = re.compile(r"[^ -~]")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: +|$)")


@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """Subject and detail of an enhanced status; the class digit belongs to the reply code."""

    subject: int
    detail: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a reply of our own tells, so that it can be said in another language.

    `situation` is a row of `gateway.replies`; `particulars` name address and reason; `instead` is
    what an administrator wants to be said in place of the advice.
    """

    situation: str
    particulars: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply; `text` may hold several lines, parted by newlines.

    `told` is what it tells when it is our own; `is_foreign`: a peer said it. Neither makes two
    replies different.
    """

    code: int
    status: EnhancedStatus | None
    text: str
    told: Told | None = field(default=None, compare=False, repr=False)
    is_foreign: bool = field(default=False, compare=False, repr=False)

    @property
    def is_positive(self) -> bool:
        """Tell whether the command did what it should (2yz, RFC 5321 4.2.1)."""
        return 200 <= self.code < 300  # noqa: PLR2004 - the class of RFC 5321 4.2.1

    @property
    def is_temporary(self) -> bool:
        """Tell whether the same command may succeed later (4yz)."""
        return 400 <= self.code < 500  # noqa: PLR2004 - the class of RFC 5321 4.2.1

    @property
    def is_permanent(self) -> bool:
        """Tell whether the refusal is final (5yz)."""
        return 500 <= self.code < 600  # noqa: PLR2004 - the class of RFC 5321 4.2.1

    @property
    def enhanced(self) -> str:
        """Give the enhanced status in full, `5.7.1`, or nothing when the reply has none."""
        if self.status is None:
            return ""
        return f"{self.code // 100}.{self.status.subject}.{self.status.detail}"

    def __str__(self) -> str:
        """Give the reply on one line, `550 5.7.1 text`, as logs and people read it."""
        parts = (str(self.code), self.enhanced, self.text.replace("\n", " "))
        return " ".join(part for part in parts if part)

    def encode(self) -> bytes:
        """Give the wire form with final CRLF, ASCII only, each line within RFC 5321 4.5.3.1.5."""
        prefix = f"{self.enhanced} " if self.status else ""
        lines = self.text.split("\n")
        wire = []
        for number, line in enumerate(lines, 1):
            mark = " " if number == len(lines) else "-"
            shown = f"{self.code}{mark}{prefix}{line}".rstrip() if line else f"{self.code}{mark}"
            clean = _UNSHOWN.sub("?", shown)
            wire.append(clean[: MAX_REPLY_LINE - 2].encode("ascii"))
        return b"\r\n".join(wire) + b"\r\n"


def read_reply(code: int, lines: list[str]) -> Reply:
    """Build a reply from a peer's code and its text lines without the code (RFC 5321 4.2.1).

    The enhanced status is taken from the first line when its class fits the code (RFC 2034 4);
    it is then removed from every line that repeats it.
    """
    match = _STATUS.match(lines[0]) if lines else None
    if match is None or int(match[1]) != code // 100:
        return Reply(code, None, "\n".join(lines), is_foreign=True)
    status = EnhancedStatus(int(match[2]), int(match[3]))
    rest = [_STATUS.sub("", line, count=1) if _STATUS.match(line) else line for line in lines]
    return Reply(code, status, "\n".join(rest), is_foreign=True)
