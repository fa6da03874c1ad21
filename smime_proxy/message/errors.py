"""Faults of a message: what parsing and reading its fields may raise.

RFC 5322, RFC 2045.
"""


class MessageError(Exception):
    """Base of everything this package raises."""


class TooComplex(MessageError):  # noqa: N818 - says what the message is
    """A limit on depth, parts, header or addresses is exceeded; whoever sent it is at fault."""


class FieldError(MessageError):
    """A field that cannot be written: its name or value would break the header block."""


class FromError(MessageError):
    """The From field does not name exactly one clean mailbox; the text says why."""

    @property
    def reason(self) -> str:
        """Give the reason as a short ASCII phrase."""
        return str(self)


class BadRequest(MessageError):  # noqa: N818 - says what the field is
    """A request field of the sender holds something else than `yes`."""
