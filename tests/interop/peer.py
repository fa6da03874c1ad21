"""What every peer of the matrix can be asked, and how it declines."""

from collections.abc import Sequence
from typing import Protocol

from tests.interop.algorithms import Encryption, Signature


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The peer was asked and declined; the argument is what it said."""


class NoWayToAsk(Refused):
    """The peer's program has no option for it; the argument is the reason that is printed."""


class Peer(Protocol):
    """One program or library; all objects are bare CMS in DER or BER.

    Every method raises `Refused`. A verification that does not hold is `Refused` as well.
    """

    @property
    def name(self) -> str:
        """Give the name it goes by in the matrix."""

    def version(self) -> str:
        """Give the version that runs."""

    def sign(self, how: Signature, content: bytes, form: Sequence[str] = ()) -> bytes:
        """Sign with the key of a kind; `form` is of `keyid`, `stream`, `direct`."""

    def verify(self, der: bytes, content: bytes | None) -> None:
        """Verify an opaque signature, or a detached one over `content`."""

    def encrypt(self, how: Encryption, content: bytes, form: Sequence[str] = ()) -> bytes:
        """Encrypt; `form` is of `keyid`, `stream`."""

    def decrypt(self, der: bytes, kind: str) -> bytes:
        """Decrypt with the key of a kind."""

    def compress(self, content: bytes) -> bytes:
        """Make CompressedData."""

    def expand(self, der: bytes) -> bytes:
        """Read CompressedData."""
