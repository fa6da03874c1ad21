"""What a sink remembers: messages it accepted, and every command as it came."""

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
