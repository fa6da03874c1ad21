"""Deliver for a client that hears of each recipient by himself: no group waits for another.

RFC 2033 4.2 (LMTP): what one group is refused is its own, so nothing need be reported.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from smime_proxy.envelope import Envelope
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deliver import CLIENT_GONE, Outcome, abort_copy
from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    abort_all,
    answered,
    drop,
    prepare,
    prepare_each,
    prepare_opened,
)
from smime_proxy.gateway.groups import copy_of, group_of
from smime_proxy.gateway.ports import Transaction, Unconfirmed, UpstreamError
from smime_proxy.gateway.replies import refusal_reply
from smime_proxy.gateway.work import Work
from smime_proxy.reply import Reply


async def deliver_each(
    context: Context,
    envelope: Envelope,
    work: Work,
    opened: Transaction | None,
    client_gone: Callable[[], bool],
    begun: float | None = None,
) -> Outcome:
    """Hand all groups on, each for itself; `Outcome.each` has the replies in RCPT order.

    A sent copy that is refused for now keeps everything back, as with SMTP. It is filed once the
    client has nothing left to send again. `begun` is the loop time of the client's final dot.
    """
    started = asyncio.get_running_loop().time() if begun is None else begun
    gate = started + context.routes[envelope.session.listener].deadlines.gate
    groups = [group_of(context, envelope, content) for content in work.contents]
    prepared = await _prepare_each(groups, envelope, opened, gate)
    try:
        filed = copy_of(context, envelope, work)
        copy = await prepare(filed) if filed else None
    except BaseException:
        await abort_all(prepared)
        raise
    refusal = replace(copy, code=451) if isinstance(copy, Reply) and copy.is_temporary else None
    refusal = CLIENT_GONE if client_gone() else refusal
    if refusal is not None:
        await abort_all(prepared)
        replies = tuple(answered(group, refusal) for group in groups)
    else:
        try:
            replies = await _commit_each(context, groups, prepared)
        except BaseException:
            await abort_copy(copy)
            raise
    each = _in_order(envelope, work, groups, replies)
    positive = next((reply for reply in each if reply.is_positive), None)
    if positive is None or any(reply.is_temporary for reply in each):
        await abort_copy(copy)
        copy = None
    return Outcome(positive or each[0], replies, copy, each)


async def _prepare_each(
    groups: Sequence[Group], envelope: Envelope, opened: Transaction | None, gate: float
) -> Sequence[Prepared | Reply]:
    whole = len(groups) == 1 and len(groups[0].paths) == len(envelope.forward_paths)
    if whole and opened is not None:
        return [await prepare_opened(groups[0], opened)]
    await drop(opened)
    return await prepare_each(groups, gate)


async def _commit_each(
    context: Context, groups: Sequence[Group], prepared: Sequence[Prepared | Reply]
) -> tuple[PathReplies, ...]:
    replies: list[PathReplies] = []
    try:
        for group, one in zip(groups, prepared, strict=True):
            if isinstance(one, Reply):
                replies.append(answered(group, one))
            else:
                replies.append(await _commit(context, group, one))
    except BaseException:
        await abort_all(prepared)  # of what is committed nothing is left to abort
        raise
    return tuple(replies)


async def _commit(context: Context, group: Group, prepared: Prepared) -> PathReplies:
    try:
        return await prepared.commit()
    except Unconfirmed as error:
        context.measures.count("dup_possible")
        return answered(group, error.reply)
    except UpstreamError as error:
        return answered(group, error.reply)


def _in_order(
    envelope: Envelope, work: Work, groups: Sequence[Group], replies: Sequence[PathReplies]
) -> tuple[Reply, ...]:
    """Give each forward-path its reply; one that was named twice has two."""
    queues = [
        (frozenset(path.mailbox for path in group.paths), iter(told))
        for group, told in zip(groups, replies, strict=True)
    ]
    refused = {
        item.recipient: refusal_reply(item.why, item.detail, item.instead)
        for item in work.plan.refused
    }
    each = []
    for path in envelope.forward_paths:
        told = next((queue for mailboxes, queue in queues if path.mailbox in mailboxes), None)
        each.append(refused[path.mailbox] if told is None else next(told)[1])
    return tuple(each)
