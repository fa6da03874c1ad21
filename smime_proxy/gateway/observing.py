"""Mode `observe`: mail leaves as it came, and what would have become of it is found out beside it.

No RFC; docs/adr/0023. This is the one place where what goes wrong with a decision does not cost the
mail: `Observed` has nothing to send but the octets of the client. Who may send at all, and mail
that goes round, is no matter of S/MIME and is judged first.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

import structlog

from smime_proxy.envelope import Envelope
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deciding import decided
from smime_proxy.gateway.discovered import Found
from smime_proxy.gateway.gather import lacking_field
from smime_proxy.gateway.replies import refusal_reply, reply_for
from smime_proxy.gateway.work import Content, Refused, Work, loop_of, make
from smime_proxy.message.errors import MessageError
from smime_proxy.message.header import HeaderBlock, check_limits
from smime_proxy.message.parse import header_of
from smime_proxy.policy.outbound import required_field
from smime_proxy.policy.plan import Delivery, Plan, Relay

MAX_SECONDS = 20.0  # that mail waits for a decision which changes nothing; clients wait a minute
RULE = "observe"  # of what is relayed only because nothing is enforced

_log = structlog.get_logger("smime_proxy.gateway")


class Undecided(Enum):
    """Why nobody knows what would have become of mail."""

    FAILED = "failed"  # the log has the traceback
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Observed:
    """Mail that leaves as it came, in one group, and what would have been done `instead`."""

    relayed: Work
    instead: Work | Refused | Undecided


async def observe(context: Context, envelope: Envelope) -> Observed | Refused:
    """Decide as if it were enforced and give the mail unchanged, whatever comes of the decision.

    Refused are only mail that goes round, and mail of who may not send here.
    """
    header = header_of(envelope.content)
    return _turned_away(context, envelope, header) or Observed(
        _as_it_came(envelope, header), await _judged(context, envelope)
    )


def _turned_away(context: Context, envelope: Envelope, header: HeaderBlock) -> Refused | None:
    if loop := loop_of(context, envelope, header):
        return Refused(reply_for("mail_loop", loop), "mail loop")
    listener = context.rules.listeners.get(envelope.session.listener)
    if listener is None or not listener.require_header:
        return None
    try:
        check_limits(header)  # what it says twice may stand where nobody looks
    except MessageError as error:
        return Refused(reply_for("malformed", str(error)), "malformed message")
    refusal = required_field(envelope, lacking_field(header, listener.require_header))
    if refusal is None:
        return None
    return Refused(refusal_reply(refusal.why, refusal.detail, refusal.instead), refusal.rule)


def _as_it_came(envelope: Envelope, header: HeaderBlock) -> Work:
    delivery = Delivery(envelope.recipients, Relay(), RULE)
    return Work(header, Plan((delivery,)), (Content(delivery, envelope.content),))


async def _judged(context: Context, envelope: Envelope) -> Work | Refused | Undecided:
    """Decide within the time there is; whatever goes wrong is logged, and raised never."""
    route = context.routes[envelope.session.listener]

    async def making(noting: Context, mail: Envelope, found: Found | None) -> Work | Refused:
        return await context.aside.run(lambda: make(noting, mail, found))

    try:
        async with asyncio.timeout(min(MAX_SECONDS, route.deadlines.gate / 2)) as limit:
            return await decided(context, envelope, making)
    except Exception:  # the mail is relayed in any case: that is what this mode is for
        late = limit.expired()
        undecided = Undecided.LATE if late else Undecided.FAILED
        _log.exception("not decided", id=envelope.identifier, reason=undecided.value)
        return undecided
