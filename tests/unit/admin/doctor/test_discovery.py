"""What doctor says of directories and resolvers."""

import asyncio
import time
from dataclasses import dataclass

from smime_proxy.address import Mailbox
from smime_proxy.admin.doctor.discovery import discovery_findings
from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.lookup.source import SourceDown, Told


@dataclass
class Tried:
    """A source that takes some seconds and then has a fault or none."""

    name: str
    fault: str = ""
    seconds: float = 0.0
    timeout: float = 60.0
    closed: int = 0

    def serves(self, mailbox: Mailbox) -> bool:
        return bool(mailbox)

    async def ask(self, mailbox: Mailbox) -> Told:
        raise AssertionError(mailbox)

    async def check(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.fault:
            raise SourceDown(self.fault)

    async def close(self) -> None:
        self.closed += 1


async def test_who_cannot_be_asked_is_told_and_nobody_is_waited_for_long() -> None:
    good, wrong = Tried("smimea", seconds=0.2), Tried("ldap:corp", "it refuses cn=x")
    slow = Tried("ldap:slow", seconds=30)
    start = time.monotonic()
    found = await discovery_findings([good, wrong, slow], seconds=0.4)
    assert time.monotonic() - start < 2
    assert [(one.severity, one.where) for one in found] == [
        (Severity.WARNING, "discovery.ldap.corp"),
        (Severity.WARNING, "discovery.ldap.slow"),
    ]
    assert "it refuses cn=x" in found[0].what
    assert "no answer within 0.4 seconds" in found[1].what
    assert [one.closed for one in (good, wrong, slow)] == [1, 1, 1]


async def test_without_sources_nobody_is_asked() -> None:
    assert await discovery_findings([]) == []
