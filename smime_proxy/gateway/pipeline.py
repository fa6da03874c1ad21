"""The life of one mail transaction: relay MAIL and RCPT, then gather, decide, transform, deliver.

RFC 5321 3.3 and 4.1.1; the order of the steps is ARCHITECTURE.md's. Nothing is answered 250 before
the upstream has said 250 for every recipient, and what is not foreseen is 451 4.3.0.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, TypeVar, assert_never

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Envelope, ForwardPath, Session, origin_of, parameter
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deciding import decided, held_back
from smime_proxy.gateway.deliver import Outcome, deliver, file_copy
from smime_proxy.gateway.deliver_each import deliver_each
from smime_proxy.gateway.delivery import Prepared, drop, mail_parameters, unmet
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.observing import Observed, observe
from smime_proxy.gateway.ports import Transaction, Upstream, UpstreamError
from smime_proxy.gateway.record import (
    record_copy,
    record_deliveries,
    record_observed,
    record_refusal,
)
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.work import Refused, Work
from smime_proxy.reply import Reply

_Said = TypeVar("_Said")
_Way: TypeAlias = Callable[
    [Context, Envelope, Work, Transaction | None, Callable[[], bool], float], Awaitable[Outcome]
]
COPY_SECONDS = 20.0  # for the dot of a sent copy: clients wait 60 s and send again

_log = structlog.get_logger("smime_proxy.gateway")


class Gateway:
    """What servers talk to: gives a `Conversation` to each of their sessions."""

    def __init__(self, context: Context) -> None:
        """Keep what all conversations of this process share."""
        self._context = context

    @property
    def hostname(self) -> str:
        """The name of this service, for greetings and Received."""
        return self._context.hostname

    def work_with(self, context: Context) -> None:
        """Begin transactions with another context from now on; those begun keep theirs."""
        self._context = context

    def begin(self, session: Session, upstream: Upstream | None = None) -> "Conversation":
        """Begin the mail transactions of one client session.

        `upstream` is the way out with the client's own credentials: it takes the place of that of
        his listener, for his mail and for reports to him.
        """
        context = self._context if upstream is None else _by(self._context, session, upstream)
        return Conversation(context, session)


def _by(context: Context, session: Session, upstream: Upstream) -> Context:
    """Give the context of a session whose mail takes a way of its own."""
    usual = context.routes[session.listener]
    reports = upstream if usual.reports is usual.upstream else usual.reports
    route = replace(usual, upstream=upstream, reports=reports)
    return replace(context, routes={**context.routes, session.listener: route})


class Conversation:
    """One client's mail transactions on one session, one after the other."""

    def __init__(self, context: Context, session: Session) -> None:
        """Start with no transaction; `Gateway.begin` is how a server gets one."""
        self._context = context
        self._session = session
        self._route = context.routes[session.listener]
        self._transaction: Transaction | None = None
        self._reverse_path: Mailbox | None = None
        self._parameters: tuple[str, ...] = ()
        self._paths: list[ForwardPath] = []
        self.identifier = context.random(6).hex()

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Open an upstream transaction and give its answer to MAIL (RFC 5321 4.1.1.2)."""
        return await self._guard(self._mail(reverse_path, tuple(parameters)))

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Give the upstream's own answer to RCPT (RFC 5321 4.1.1.3)."""
        return await self._guard(self._rcpt(path))

    async def data(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> Reply:
        """Process and deliver the message; the reply is the upstream's (RFC 5321 4.1.1.4).

        `content` has CRLF line ends only. Whatever happens the transaction is over afterwards.
        """
        envelope = self._envelope(content, received_at)
        try:
            return await self._guard(self._data(envelope, client_gone))
        finally:
            await self.reset()

    async def data_each(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> tuple[Reply, ...]:
        """Do as `data`, with a reply for each recipient in the order of `rcpt` (RFC 2033 4.2)."""
        envelope = self._envelope(content, received_at)
        try:
            said = await self._guard(self._data_each(envelope, client_gone))
            return (said,) * len(envelope.forward_paths) if isinstance(said, Reply) else said
        finally:
            await self.reset()

    async def reset(self) -> None:
        """Forget the transaction; the upstream has nothing of it (RSET, QUIT, lost client)."""
        self._reverse_path, self._parameters, self._paths = None, (), []
        await self._drop()
        self.identifier = self._context.random(6).hex()

    async def _drop(self) -> None:
        """Abort the upstream transaction; what is wrong with it is no concern of the client's."""
        transaction, self._transaction = self._transaction, None
        try:
            await drop(transaction)
        except Exception:  # the reply that is on its way to the client must not be lost for it
            _log.exception("abort failed", id=self.identifier)

    async def _mail(self, reverse_path: Mailbox | None, parameters: tuple[str, ...]) -> Reply:
        if self._transaction is not None:
            await self.reset()
        transaction = await self._route.upstream.open(origin_of(self._session, self.identifier))
        self._transaction = transaction
        refusal = self._loop(transaction) or unmet(transaction.extensions, parameters)
        if refusal is not None:
            await self.reset()
            return refusal
        chosen = mail_parameters(
            transaction.extensions,
            smtputf8=parameter(parameters, "SMTPUTF8") is not None,
            headers_only=self._route.mode.quotes_nothing(self._session.role),
            requested=parameters,
        )
        reply = await transaction.mail(reverse_path, chosen)
        if reply.is_positive:
            self._reverse_path, self._parameters = reverse_path, parameters
        else:
            await self.reset()
        return reply

    def _loop(self, transaction: Transaction) -> Reply | None:
        """Refuse mail whose upstream is this listener itself, before sessions of it pile up."""
        loops = self._context.loops
        if loops is None:
            return None
        if not loops.leads_back(self._session.listener, transaction.extensions.greeting):
            return None
        _log.error("the upstream leads back", listener=self._session.listener)
        return reply_for("mail_loop", "the next mail server is this one itself")

    async def _rcpt(self, path: ForwardPath) -> Reply:
        if self._transaction is None:
            return reply_for("upstream_lost")
        refusal = unmet(self._transaction.extensions, path.parameters)
        if refusal is not None:
            return refusal
        try:
            reply = await self._transaction.rcpt(path)
        except UpstreamError as error:
            # Who was accepted stays so: a new transaction repeats them when the content is here.
            _log.warning("upstream", id=self.identifier, reply=str(error.reply))
            await self._drop()
            return error.reply
        if reply.is_positive:
            self._paths.append(path)
        return reply

    def _envelope(self, content: bytes, received_at: datetime) -> Envelope:
        return Envelope(
            self.identifier,
            self._session,
            self._reverse_path,
            tuple(self._paths),
            content,
            received_at,
            self._parameters,
        )

    async def _data(self, envelope: Envelope, client_gone: Callable[[], bool]) -> Reply:
        if not envelope.forward_paths:
            return reply_for("upstream_lost")  # never a 250 for mail that nobody gets
        return (await self._deliver(envelope, client_gone, deliver)).reply

    async def _data_each(
        self, envelope: Envelope, client_gone: Callable[[], bool]
    ) -> Reply | tuple[Reply, ...]:
        if not envelope.forward_paths:
            return reply_for("upstream_lost")
        done = await self._deliver(envelope, client_gone, deliver_each)
        return done.reply if isinstance(done, Refused) else done.each

    async def _deliver(
        self, envelope: Envelope, client_gone: Callable[[], bool], way: _Way
    ) -> Outcome | Refused:
        context, begun = self._context, asyncio.get_running_loop().time()
        made = await self._made(envelope)
        if isinstance(made, Refused):
            record_refusal(context, envelope, made)
            return made
        work = made.relayed if isinstance(made, Observed) else made
        if context.memory is not None and work.confidential:
            # Before it is delivered: a program may answer sooner than the upstream's 250 is here,
            # to another process, and who crashes now would never know of the answers.
            context.memory.remember(work.confidential, envelope.received_at)
            await context.memory.settle(work.confidential)
        opened, self._transaction = self._transaction, None
        outcome = await way(context, envelope, work, opened, client_gone, begun)
        try:
            await self._finish(envelope, made, outcome)
        except Exception:  # the mail is with its recipients: only the upstream's reply is true
            _log.exception("internal error after delivery", id=envelope.identifier)
            context.measures.count("internal_errors")
        return outcome

    async def _made(self, envelope: Envelope) -> Work | Refused | Observed:
        """Have the mail decided on, and made unless it leaves as it came."""
        mode = self._route.mode
        match mode:
            case Mode.ENFORCE:
                return await decided(self._context, envelope)
            case Mode.SOFT:
                return held_back(await decided(self._context, envelope), envelope)
            case Mode.OBSERVE:
                return await observe(self._context, envelope)
            case _:
                assert_never(mode)

    async def _finish(self, envelope: Envelope, made: Work | Observed, outcome: Outcome) -> None:
        """Do what comes after the delivery and no longer changes its reply."""
        if isinstance(made, Observed):
            record_observed(self._context, envelope, made, outcome)
            return
        work = made
        try:
            record_deliveries(self._context, envelope, work, outcome)
        finally:
            if work.seen is not None and outcome.reply.is_positive:
                self._context.remember(work.seen)
            if work.found is not None and outcome.reply.is_positive:
                self._context.harvest(work.found)
            if outcome.copy is not None:
                await self._file(envelope, outcome.copy)

    async def _file(self, envelope: Envelope, copy: Prepared | Reply) -> None:
        try:
            async with asyncio.timeout(COPY_SECONDS):
                reply = await file_copy(copy)
        except TimeoutError:
            reply = reply_for("upstream_lost")
        record_copy(self._context, envelope, reply)

    async def _guard(self, step: Awaitable[_Said]) -> _Said | Reply:
        """Turn what goes wrong into the one reply that says so; the cause stays in the log."""
        try:
            return await step
        except UpstreamError as error:
            _log.warning("upstream", id=self.identifier, reply=str(error.reply))
            await self.reset()
            return error.reply
        except Exception:  # the one net of the mail path: never 250, never clear text
            _log.exception("internal error", id=self.identifier, listener=self._session.listener)
            self._context.measures.count("internal_errors")
            reply = reply_for("internal_error", f"id {self.identifier}")
            await self.reset()
            return reply
