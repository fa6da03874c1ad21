"""One mail transaction on the server's side: recipients judged, content taken and handed over.

RFC 5321 3.3 (transactions), 4.1.1.3 (RCPT), 4.1.1.4 (DATA), 4.5.1 (postmaster), RFC 2033 4.2,
draft-hall-prdr-00 (PRDR).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.admission import Admission
from smime_proxy.smtp.connection import SERVICE_CLOSING
from smime_proxy.smtp.conversation import Conversation
from smime_proxy.smtp.intake import Content, Intake, Shortfall, collect, normalise
from smime_proxy.smtp.paths import is_routed, read_rcpt

_RCPT_FIRST = Reply(503, EnhancedStatus(5, 1), "Say RCPT first")
_NO_RECIPIENT = Reply(554, EnhancedStatus(5, 1), "No valid recipients")
_ENDLESS = Reply(421, EnhancedStatus(3, 4), "Far too much mail, closing")
_EACH_FOLLOWS = Reply(353, None, "A reply for each recipient follows, then one on the whole")
_LOST = Reply(421, EnhancedStatus(4, 2), "The connection was lost")


class Transaction:
    """From MAIL to the reply to the final dot; `conversation` is the gateway's end of it."""

    def __init__(
        self,
        admission: Admission,
        conversation: Conversation,
        limit: int,
        offered: Extensions,
        *,
        smtputf8: bool,
        prdr: bool = False,
    ) -> None:
        """Start without recipients; `limit` is in octets, `offered` what EHLO said."""
        self._admission = admission
        self._options = admission.options  # those of its beginning, whatever comes into force
        self._conversation: Conversation | None = conversation
        self._limit = limit
        self._offered = offered
        self._utf8 = smtputf8
        self._prdr = prdr
        self._tried = 0
        self._accepted = 0

    @property
    def mode(self) -> Mode:
        """The mode its replies are given in."""
        return self._options.mode

    async def rcpt(self, argument: bytes) -> Reply:
        """Answer RCPT: our own refusal, or what the upstream says."""
        self._tried += 1
        path = read_rcpt(
            argument,
            self._admission.gateway.hostname,
            self._offered,
            smtputf8=self._utf8,
        )
        if isinstance(path, Reply):
            return path
        if not self._serves(path.mailbox):
            return reply_for("relay_denied")
        if self._accepted >= self._options.max_recipients:
            return reply_for("too_many_recipients")
        assert self._conversation is not None  # noqa: S101 - only `take` and `abandon` end it
        reply = await self._conversation.rcpt(path)
        self._accepted += reply.is_positive
        return reply

    def refusal(self) -> Reply | None:
        """Give the reply to DATA when it comes too early (RFC 5321 3.3)."""
        if self._accepted:
            return None
        # RFC 2033 4.2 wants 503 either way.
        return _NO_RECIPIENT if self._tried and not self._is_lmtp else _RCPT_FIRST

    async def take(self, intake: Intake, client_gone: Callable[[], bool]) -> tuple[Reply, ...]:
        """Take the content and answer the final dot; the transaction is over then.

        Exactly one reply, whatever the content, with LMTP one for each recipient accepted; but
        only one of 421, when the end of the content is not known. With PRDR and several
        recipients 353, one for each, and that on the whole; one alone is on the whole.
        """
        admission, budget = self._admission, self._admission.budget
        content = await collect(intake, self._limit, budget, lambda: admission.allowance)
        if isinstance(content, Shortfall):
            await self.abandon()
            return self._all(_excuse(content))
        try:
            return await self._deliver(content, client_gone)
        finally:
            budget.give(len(content.raw))

    async def abandon(self) -> None:
        """Abort it: the upstream gets nothing."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            await conversation.reset()

    def _serves(self, mailbox: Mailbox) -> bool:
        """Tell whether mail for this recipient is ours to take: never an open relay.

        Who may send outbound may send anywhere. Inbound a trusted host is no excuse for a route:
        strangers' mail comes through the server in front, and those behind us believe us.
        """
        options = self._options
        if options.role is Role.OUTBOUND:
            return True
        if is_routed(mailbox):
            return False
        # RFC 5321 4.5.1: the postmaster of our own name is always served.
        own = f"postmaster@{self._admission.gateway.hostname.lower()}"
        return mailbox.domain in options.domains or mailbox.key == own

    @property
    def _is_lmtp(self) -> bool:
        return self._options.protocol == "lmtp"

    def _all(self, reply: Reply) -> tuple[Reply, ...]:
        """Say the same of everybody; nothing follows a 421."""
        many = self._is_lmtp and reply.code != SERVICE_CLOSING
        return (reply,) * (self._accepted if many else 1)

    async def _deliver(
        self, content: Content, client_gone: Callable[[], bool]
    ) -> tuple[Reply, ...]:
        """Hand the message over; nothing here ends before the gateway knows its outcome (E22)."""
        raw = content.raw
        if not content.clean:
            if self._options.refuses_bare_line_ends:
                await self.abandon()
                return self._all(reply_for("bare_line_end"))
            raw = normalise(raw)
        assert self._conversation is not None  # noqa: S101 - only `take` and `abandon` end it
        now = datetime.now(UTC)
        each = self._is_lmtp or self._prdr
        if each:
            replies = await self._conversation.data_each(raw, now, client_gone)
        else:
            replies = (await self._conversation.data(raw, now, client_gone),)
        self._conversation = None
        if each and len(replies) != self._accepted:
            replies = self._all(reply_for("upstream_lost"))  # it was given up meanwhile
        best = min(reply.code for reply in replies)
        self._admission.count("messages", reply=f"{best // 100}yz")
        if self._prdr and len(replies) > 1:
            return (_EACH_FOLLOWS, *replies, _on_the_whole(replies, self.mode))
        return replies


def _on_the_whole(replies: Sequence[Reply], mode: Mode) -> Reply:
    """Sum up: what is positive for one recipient stays so only if the whole is.

    A permanent refusal of the whole would be one for those too who are to be tried again.
    """
    return min(replies, key=lambda reply: mode.given(reply).code // 100)


def _excuse(shortfall: Shortfall) -> Reply:
    match shortfall:
        case Shortfall.TOO_LARGE:
            return reply_for("too_big")
        case Shortfall.NO_ROOM:
            return reply_for("memory_spent")
        case Shortfall.ENDLESS:
            return _ENDLESS
        case Shortfall.LOST:
            return _LOST
