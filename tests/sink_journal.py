"""What a sink remembers: messages it accepted, and every command as it came."""

import base64
import binascii
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted message: paths as text without brackets, parameters as sent."""

    connection: int
    reverse_path: str
    parameters: tuple[str, ...]
    recipients: tuple[str, ...]
    recipient_parameters: tuple[tuple[str, ...], ...]
    content: bytes  # dots unstuffed
    wire: bytes  # as it came, without the final dot
    tls: bool
    login: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    `event`: connect, command, content (octets as they came), accepted, fault, injected (octets
    behind STARTTLS), lost (the client left within the content), close.
    """

    connection: int
    event: str
    raw: bytes = b""
    tls: bool = False


def decode(secret: bytes) -> str:
    """Read base64 that may be none."""
    try:
        return base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def read_path(rest: bytes) -> tuple[str, tuple[str, ...]]:
    """Read `FROM:<path> PARAMETERS`; a `>` may be quoted in the path."""
    end = rest.rfind(b"> ") if b"> " in rest else rest.rfind(b">")
    path = rest[rest.find(b"<") + 1 : end]
    return path.decode(), tuple(rest[end + 1 :].decode().split())
