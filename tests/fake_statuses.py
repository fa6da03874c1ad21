"""A fake of what fetches answers about revocation while mail waits."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.revocation_list import Crl
from tests.unit.certs.answers import Known


@dataclass
class FakeStatuses:
    """Brings answers in the order they are given, each to one that waits."""

    known: Known
    brings: list[list[Crl]]
    budget: float = 5.0
    asked: list[tuple[list[str], float]] = field(default_factory=list)
    takes: float = 0.0

    async def wait(
        self, wanted: Collection[tuple[Certificate, Certificate]], seconds: float
    ) -> bool:
        self.asked.append(([str(one.subject) for one, _ in wanted], seconds))
        await asyncio.sleep(self.takes)
        if not self.brings:
            return False
        self.known.crls = [*self.known.crls, *self.brings.pop(0)]
        self.known.version += 1
        return True
