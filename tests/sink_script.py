"""What the scriptable SMTP sink can be told to do wrong, and where."""

from dataclasses import dataclass
from enum import Enum, auto


class Step(Enum):
    """Where in the dialogue a fault strikes."""

    BANNER = auto()  # after the connection was accepted
    EHLO = auto()
    HELO = auto()
    STARTTLS = auto()
    HANDSHAKE = auto()  # after the 220 of STARTTLS
    EHLO2 = auto()  # under TLS
    AUTH = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    BODY = auto()  # at the first octets of the content
    PAUSE = auto()  # within the content, silence before the dot; else its end, which is not taken
    DOT = auto()
    RSET = auto()
    QUIT = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Say:
    """Say these octets, whatever they are, in place of the reply; then `close` or go on."""

    raw: bytes
    close: bool = False


@dataclass(frozen=True, slots=True)
class Trickle:
    """Say these octets one by one."""

    raw: bytes
    pause: float  # seconds between octets


@dataclass(frozen=True, slots=True)
class Endless:
    """Say this line over and over."""

    line: bytes = b"250-and then\r\n"


@dataclass(frozen=True, slots=True)
class Close:
    """Say nothing and close (FIN)."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Say nothing and reset the connection (RST)."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing and read nothing more (a black hole)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait some seconds, then go on as if nothing had been."""

    seconds: float


Action = Say | Trickle | Endless | Close | Reset | Hang | Wait


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at a step.

    `nth`: only at the nth time of the step in a connection, from 1. `containing`: only where the
    command has these octets. `connection`: only in this one, from 1. `at`: only at that time of
    the step over all connections since the script began. `keep`: at DOT, the message counts as
    accepted although the reply is lost.
    """

    step: Step
    action: Action
    nth: int | None = None
    containing: bytes = b""
    connection: int | None = None
    keep: bool = False
    at: int | None = None
