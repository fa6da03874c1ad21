"""How long one mail waits for what is not known of revocations: in total no longer than the budget.

RFC 5280 6.3, RFC 6960. What is not known is collected while the mail is worked on, fetched behind
it, and the work made again with what came; `decide` stays pure.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.selection import KeyEntry
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.ports import Directory, Statuses


@dataclass(slots=True)
class Patience:
    """That of one mail; nothing is waited for twice."""

    statuses: Statuses
    left: float
    _wanted: dict[tuple[Certificate, Certificate], None] = field(default_factory=dict)
    _asked: set[tuple[Certificate, Certificate]] = field(default_factory=set)

    def noting(self, context: Context) -> Context:
        """Give the context to make the mail in, which collects here what is not known."""
        if context.revocation is None:
            return context
        return replace(context, revocation=replace(context.revocation, want=self._note))

    def _note(self, certificate: Certificate, issuer: Certificate) -> None:
        self._wanted[(certificate, issuer)] = None

    async def rewarded(self) -> bool:
        """Wait for what was wanted; tells whether it pays to make the mail again."""
        wanted = [pair for pair in self._wanted if pair not in self._asked]
        self._wanted = {}
        if not wanted:
            return False
        self._asked.update(wanted)
        start = time.monotonic()
        is_new = await self.statuses.wait(wanted, self.left)
        self.left = max(0.0, self.left - (time.monotonic() - start))
        return is_new


def patience_for(context: Context) -> Patience | None:
    """Give that of the settings for one mail; None when none waits."""
    statuses = context.statuses
    if statuses is None or statuses.budget <= 0:
        return None
    return Patience(statuses, statuses.budget)


def ask_of_own(context: Context, directory: Directory, entry: KeyEntry, at: datetime) -> None:
    """Want what is not known of the certificate that signs, where its chain leads to an anchor."""
    if context.statuses is None or context.statuses.budget <= 0:
        return
    validate(
        entry.certificate,
        Pool.of(entry.chain, directory.intermediates()),
        directory.anchors(),
        at,
        purpose=Purpose.SIGN,
        revocation=context.revocation,
    )
