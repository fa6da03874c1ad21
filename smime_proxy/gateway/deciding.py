"""Have one mail object decided on, and what is lacking for it looked for outside.

RFC 5321 3.3. The computing is `gateway.work`'s; here is what it waits for: directories, and answers
about revocation. What mode `soft` makes of a decision is docs/adr/0023.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from smime_proxy.envelope import Envelope
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.discovered import Found
from smime_proxy.gateway.patience import patience_for
from smime_proxy.gateway.replies import refusal_reply
from smime_proxy.gateway.work import Lacking, Refused, Work, make

LARGE = 256 * 1024  # octets; beyond this the work costs the loop more than a thread's hand-over
MANY = 20  # recipients; each may cost a path to validate, or a private key to use

Make: TypeAlias = Callable[[Context, Envelope, Found | None], Awaitable[Work | Refused]]
"""Does `work.make` where the event loop is not held up."""


async def make_aside(context: Context, envelope: Envelope, found: Found | None) -> Work | Refused:
    """Make what may take long in a thread, the rest at once."""
    large = len(envelope.content) > LARGE or len(envelope.forward_paths) > MANY
    if large or context.slow_keys:
        return await asyncio.to_thread(make, context, envelope, found)
    return make(context, envelope, found)


async def decided(
    context: Context, envelope: Envelope, making: Make = make_aside
) -> Work | Refused:
    """Compute what is to be sent; ask for certificates and their status if some are lacking.

    What is not foreseen raises.
    """
    patience = patience_for(context)
    noting = patience.noting(context) if patience else context
    found: Found | None = None
    while True:
        lacking = None
        try:
            work = await making(noting, envelope, found)
        except Lacking as error:
            lacking = error
        # First of all: who turns out to be good lacks nothing, who is revoked lacks one.
        if patience and await patience.rewarded():
            continue
        if lacking is None:
            return work
        found = await lacking.discovery.find(lacking.lacks, noting.directory())


def held_back(made: Work | Refused, envelope: Envelope) -> Work | Refused:
    """Refuse the whole of mail of which the sender would be told by a report that some get none.

    A report is as final as a 5yz. Who hears of each recipient by himself needs none.
    """
    if isinstance(made, Refused) or not made.plan.refused or envelope.session.hears_each:
        return made
    first = made.plan.refused[0]
    return Refused(refusal_reply(first.why, first.detail, first.instead), first.rule)
