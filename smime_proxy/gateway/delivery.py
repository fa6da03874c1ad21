"""Hand groups on to upstreams: prepare all without the final dot, then commit one after another.

RFC 5321 3.3 and 6.1: the client gets 250 only after the upstream took the mail for every recipient.
A refusal before the first accepted dot drops all transactions un-dotted, so nothing was sent.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Origin, parameter
from smime_proxy.gateway.eight_bit import seven_bit
from smime_proxy.gateway.ports import Extensions, Transaction, Upstream, UpstreamError
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply

DSN_PARAMETERS = frozenset({"RET", "ENVID", "NOTIFY", "ORCPT"})  # RFC 3461 4

PathReplies: TypeAlias = tuple[tuple[ForwardPath, Reply], ...]
"""Each recipient of a group with the reply that says whether he has the message."""


class Kind(Enum):
    """What a group is of all that a message brings about."""

    MESSAGE = "message"
    REPORT = "report"  # tells the sender of recipients that are refused
    COPY = "copy"  # what the sender keeps


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients that get the same octets by one upstream transaction.

    `content` is the message in pieces, CRLF throughout; `headers_only` asks the upstream to quote
    no text in a report (RFC 3461 4.3), for decrypted and other inbound mail. `parameters` are those
    of the client's MAIL that are handed on. `opened`: it was decrypted here. `about` names whom a
    report tells of. `origin` is whose mail it is, None for what we write ourselves.
    """

    upstream: Upstream
    reverse_path: Mailbox | None
    paths: tuple[ForwardPath, ...]
    content: tuple[bytes, ...]
    smtputf8: bool = False
    headers_only: bool = False
    parameters: tuple[str, ...] = ()
    opened: bool = False
    kind: Kind = Kind.MESSAGE
    about: tuple[Mailbox, ...] = ()
    origin: Origin | None = None


class Prepared:
    """A group's transaction that has everything but the final dot; it is committed or aborted."""

    def __init__(self, group: Group, transaction: Transaction) -> None:
        """Pair a group with its prepared transaction, which has the content by now."""
        self._paths = group.paths
        self._transaction: Transaction | None = transaction

    @property
    def is_lost(self) -> bool:
        """Tell whether the session is known to have ended, so that a dot would reach nobody."""
        return self._transaction is not None and self._transaction.is_lost

    async def commit(self) -> PathReplies:
        """Send the dot and give what the upstream said of each recipient.

        Raises `UpstreamError` when the connection was lost, `Unconfirmed` when that was after the
        dot.
        """
        transaction, self._transaction = self._transaction, None
        assert transaction is not None  # noqa: S101 - it is committed once
        replies = await transaction.commit()
        return tuple(zip(self._paths, replies, strict=True))

    async def abort(self) -> None:
        """Drop it without a dot, unless it is committed."""
        transaction, self._transaction = self._transaction, None
        await drop(transaction)


def answered(group: Group, reply: Reply) -> PathReplies:
    """Give all recipients of a group the same reply."""
    return tuple((path, reply) for path in group.paths)


def verdict(replies: PathReplies) -> Reply:
    """Give the reply that stands for all: a refusal for now, else one for good, else the first."""
    said = [reply for _, reply in replies]
    refused = [reply for reply in said if not reply.is_positive]
    return next((reply for reply in refused if reply.is_temporary), (refused or said)[0])


async def drop(transaction: Transaction | None) -> None:
    """Abort a transaction, if there is one; a session that is lost has nothing of it either."""
    if transaction is None:
        return
    try:
        await transaction.abort()
    except UpstreamError:
        return


def mail_parameters(
    extensions: Extensions,
    *,
    smtputf8: bool,
    headers_only: bool,
    requested: Sequence[str] = (),
) -> tuple[str, ...]:
    """Choose the parameters of MAIL by what the upstream offers (RFC 6152, 3461, 6531, 8689).

    `requested` are the client's; with `headers_only` his RET counts for nothing.
    """
    returned = "HDRS" if headers_only else parameter(requested, "RET")
    envid = parameter(requested, "ENVID")
    return (
        *(("BODY=8BITMIME",) if extensions.eightbitmime else ()),
        *((f"RET={returned}",) if returned and extensions.dsn else ()),
        *((f"ENVID={envid}",) if envid and extensions.dsn else ()),
        *(("SMTPUTF8",) if smtputf8 else ()),
        *(("REQUIRETLS",) if parameter(requested, "REQUIRETLS") is not None else ()),
    )


def kept_for_copies(requested: Sequence[str]) -> tuple[str, ...]:
    """Give the parameters of MAIL that hold for a sent copy too: REQUIRETLS (RFC 8689 2)."""
    return tuple(item for item in requested if item.upper() == "REQUIRETLS")


def unmet(extensions: Extensions, requested: Sequence[str]) -> Reply | None:
    """Refuse for now what was asked of a server that offered it before and no longer does.

    The client is offered what the upstream said last; nothing of his is left out silently.
    """
    names = {item.partition("=")[0].upper() for item in requested}
    if "SMTPUTF8" in names and not extensions.smtputf8:
        return reply_for("no_smtputf8")
    if "REQUIRETLS" in names and not extensions.requiretls:
        return reply_for("no_requiretls")
    if not names.isdisjoint(DSN_PARAMETERS) and not extensions.dsn:
        return reply_for("offer_withdrawn", "DSN")
    return None


async def prepare(group: Group) -> Prepared | Reply:
    """Open and prepare a transaction for a group, or give the refusal; nothing is sent by this."""
    transaction = None
    try:
        transaction = await group.upstream.open(group.origin)
        refusal = await _converse(group, transaction)
    except UpstreamError as error:
        refusal = error.reply
    except BaseException:
        await drop(transaction)
        raise
    if refusal is None and transaction is not None:
        return Prepared(group, transaction)
    await drop(transaction)
    return refusal or reply_for("upstream_unreachable")


async def prepare_each(
    groups: Sequence[Group], until: float, opened: Transaction | None = None
) -> list[Prepared | Reply]:
    """Prepare several groups at once; `until` is loop time, after which there is no more time.

    `opened` is a transaction that has the recipients of the only group already. What is unforeseen
    with one of them drops all and is raised.
    """
    if opened is not None:
        try:
            async with asyncio.timeout_at(until):
                return [await prepare_opened(groups[0], opened)]
        except TimeoutError:
            return [reply_for("out_of_time")]
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(prepare(group)) for group in groups]
    try:
        await asyncio.wait(tasks, timeout=max(0.0, until - loop.time()))
    except asyncio.CancelledError:
        await abort_all(await _ended(tasks))
        raise
    results = await _ended(tasks)
    for item in results:
        if isinstance(item, BaseException) and not isinstance(item, asyncio.CancelledError):
            await abort_all(results)
            raise item
    return [
        reply_for("out_of_time") if isinstance(item, BaseException) else item for item in results
    ]


async def _ended(
    tasks: Sequence[asyncio.Task[Prepared | Reply]],
) -> Sequence[Prepared | Reply | BaseException]:
    """Give what tasks came to; one that is not done is cancelled and drops its transaction."""
    for task in tasks:
        task.cancel()  # those that are done take no notice
    return await asyncio.gather(*tasks, return_exceptions=True)


async def abort_all(items: Iterable[Prepared | Reply | BaseException]) -> None:
    """Drop what is prepared among these."""
    for item in items:
        if isinstance(item, Prepared):
            await item.abort()


async def prepare_opened(group: Group, transaction: Transaction) -> Prepared | Reply:
    """Prepare the only group on the transaction opened while the client named the recipients.

    An upstream that has hung up meanwhile (Postfix does after 300 s) is asked once more on a new
    transaction that repeats the recipients.
    """
    try:
        refusal = await _hand_over(group, transaction)
    except UpstreamError:
        await drop(transaction)
        return await prepare(group)
    except BaseException:
        await drop(transaction)
        raise
    if refusal is not None:
        await drop(transaction)
        return refusal
    return Prepared(group, transaction)


async def _converse(group: Group, transaction: Transaction) -> Reply | None:
    asked = [item for path in group.paths for item in path.parameters]
    asked += [*group.parameters, *(("SMTPUTF8",) if group.smtputf8 else ())]
    refusal = unmet(transaction.extensions, asked)
    if refusal is not None:
        return refusal
    fitting = _fitting(group, transaction)  # before anything is said
    if isinstance(fitting, Reply):
        return fitting
    parameters = mail_parameters(
        transaction.extensions,
        smtputf8=group.smtputf8,
        headers_only=group.headers_only,
        requested=group.parameters,
    )
    reply = await transaction.mail(group.reverse_path, parameters)
    if not reply.is_positive:
        return reply
    for path in group.paths:
        reply = await transaction.rcpt(path)
        if not reply.is_positive:
            return reply
    return await transaction.prepare(fitting)


async def _hand_over(group: Group, transaction: Transaction) -> Reply | None:
    fitting = _fitting(group, transaction)
    return fitting if isinstance(fitting, Reply) else await transaction.prepare(fitting)


def _fitting(group: Group, transaction: Transaction) -> Sequence[bytes] | Reply:
    """Give the content as this upstream takes it, or the refusal of what it does not."""
    content: Sequence[bytes] = group.content
    if not transaction.extensions.eightbitmime:
        made = seven_bit(content, opened=group.opened)
        if isinstance(made, Reply):
            return made
        content = made
    size = sum(map(len, content))
    limit = transaction.extensions.size
    if not limit or size <= limit:
        return content
    return reply_for("too_big", f"{size} octets after protection, the next server takes {limit}")
