"""Directories outside the store, asked for certificates, and where their answers are kept.

RFC 4511, RFC 8162.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.certs.association import Association
from smime_proxy.certs.certificate import Certificate
from smime_proxy.gateway.ports.directory import Directory
from smime_proxy.policy.lacking import Lack


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said of one mailbox, nothing included; times are aware UTC.

    `source` as in `[discovery] sources`; `reason` says in a line why there is nothing.
    """

    mailbox: Mailbox
    source: str
    fetched_at: datetime
    expires_at: datetime
    certificates: tuple[Certificate, ...] = ()
    associations: tuple[Association, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """A source that gave no answer, and why in one line."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about one mailbox; `unreachable` says who gave no answer, and why."""

    answers: tuple[Answer, ...] = ()
    unreachable: tuple[Silence, ...] = ()


class Discovery(Protocol):
    """Directories outside the store, asked for certificates of people who have none here."""

    def sources_for(self, mailbox: Mailbox) -> Sequence[str]:
        """Name the sources that would be asked, in their order; no I/O."""
        ...

    async def find(self, lacks: Sequence[Lack], directory: Directory) -> Mapping[Mailbox, Findings]:
        """Look for certificates of all at once, within the budget of the settings.

        Sources are asked in their order until one gives a certificate that will do; answers of
        before count as long as they last.
        """
        ...

    async def ask_all(self, mailbox: Mailbox) -> Findings:
        """Ask every source anew, whatever it said before."""
        ...

    async def keep(self, answers: Sequence[Answer]) -> None:
        """Remember answers as if mail had brought them up."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Answers(Protocol):
    """Where answers of sources are kept beyond the life of a process; both calls may take time."""

    async def read(self, mailbox: Mailbox) -> Sequence[Answer]:
        """Give what sources said of a mailbox, outdated or not; nothing when it cannot be read."""
        ...

    async def write(self, answers: Sequence[Answer]) -> None:
        """Keep answers, each in place of what its source said before; what fails is logged."""
        ...
