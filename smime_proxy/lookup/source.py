"""What every place that knows certificates can be asked, and how it says that it cannot answer.

RFC 8550 2.3 (directories), RFC 8162 (the DNS).
"""

from dataclasses import dataclass
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.certs.association import Association
from smime_proxy.certs.certificate import Certificate
from smime_proxy.lookup.errors import LookupFailed


class SourceUnreachable(LookupFailed):
    """A source gave no answer that could be believed, so that it may have one all the same."""


class SourceDown(SourceUnreachable):
    """The source itself is away, whoever is asked for: it pays to leave it alone for a while.

    Never for what a stranger can bring about, a zone of his that answers badly or not at all.
    """


@dataclass(frozen=True, slots=True)
class Told:
    """What a source said of one mailbox; `seconds` is how long it says that this holds, if it does.

    `reason` says in a line why there is nothing, or what was left out.
    """

    certificates: tuple[Certificate, ...] = ()
    associations: tuple[Association, ...] = ()
    seconds: int | None = None
    reason: str = ""


class Source(Protocol):
    """A directory or the DNS; `name` as in the settings, `timeout` in seconds for one question."""

    @property
    def name(self) -> str:
        """Give the name under which the settings list it."""
        ...

    @property
    def timeout(self) -> float:
        """Give the seconds one question may take."""
        ...

    def serves(self, mailbox: Mailbox) -> bool:
        """Tell whether the source is asked about this mailbox."""
        ...

    async def ask(self, mailbox: Mailbox) -> Told:
        """Ask about one mailbox; raises `SourceUnreachable`, `SourceDown` if it is for all."""
        ...

    async def check(self) -> None:
        """Find out whether it can be asked at all; raises `SourceUnreachable` when it cannot."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
