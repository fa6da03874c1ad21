"""Groups handed on: prepared all at once, committed one by one, dropped without a trace."""

import asyncio
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.gateway.delivery import (
    Group,
    Prepared,
    abort_all,
    drop,
    kept_for_copies,
    mail_parameters,
    prepare,
    prepare_each,
    prepare_opened,
    unmet,
    verdict,
)
from smime_proxy.gateway.ports import Extensions, Unconfirmed
from smime_proxy.reply import EnhancedStatus, Reply
from tests.fakes import OK, FakeTransaction, FakeUpstream, lost

NO = Reply(550, EnhancedStatus(1, 1), "no")


def group(upstream: FakeUpstream, *names: str, size: int = 10) -> Group:
    paths = tuple(ForwardPath(parse_mailbox(f"{name}@y.org")) for name in names or ("a",))
    return Group(upstream, parse_mailbox("z@y.org"), paths, (b"x" * size,))


SOON = 60.0  # seconds that nothing here takes


def until(seconds: float = SOON) -> float:
    return asyncio.get_running_loop().time() + seconds


async def ready(group: Group) -> Prepared:
    prepared = await prepare(group)
    assert isinstance(prepared, Prepared)
    return prepared


async def test_nothing_is_sent_before_the_dot_and_all_of_it_by_it() -> None:
    upstream = FakeUpstream()
    prepared = await ready(group(upstream, "a", "b"))
    assert upstream.sent == []
    a, b = (ForwardPath(parse_mailbox(f"{name}@y.org")) for name in "ab")
    assert await prepared.commit() == ((a, OK), (b, OK))
    (sent,) = upstream.sent
    assert [item.local for item in sent.recipients] == ["a", "b"]
    assert upstream.leaked == 0


async def test_an_aborted_preparation_sends_nothing_and_is_over() -> None:
    upstream = FakeUpstream(faults={"abort": lost()})
    items = await prepare_each([group(upstream, "a"), group(upstream, "b")], until())
    await abort_all([*items, NO])
    await abort_all(items)
    assert (upstream.sent, upstream.leaked) == ([], 0)


async def test_a_lost_connection_at_the_dot_is_raised() -> None:
    upstream = FakeUpstream(faults={"commit": lost()})
    with pytest.raises(Unconfirmed):
        await (await ready(group(upstream))).commit()


async def test_what_takes_too_long_is_dropped_and_the_rest_is_ready() -> None:
    class Slow(FakeUpstream):
        async def open(self, _origin: Origin | None = None, /) -> FakeTransaction:
            transaction = await super().open()
            transaction.mail = self._mail  # type: ignore[method-assign, assignment]
            return transaction

        async def _mail(self, *_: object) -> Reply:
            await asyncio.sleep(SOON)
            return OK

    slow, quick = Slow(), FakeUpstream()
    late, item = await prepare_each([group(slow), group(quick)], until(0.05))
    assert isinstance(late, Reply)
    assert (late.code, late.enhanced) == (451, "4.4.2")
    assert isinstance(item, Prepared)
    await item.abort()
    assert (slow.leaked, quick.leaked) == (0, 0)
    task = asyncio.create_task(prepare_each([group(slow), group(quick)], until()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (slow.leaked, quick.leaked) == (0, 0)


@pytest.mark.parametrize("step", ["open", "mail", "rcpt", "prepare"])
@pytest.mark.parametrize("fault", [NO, lost(), RuntimeError("x")])
async def test_one_group_that_cannot_be_prepared_stops_no_other_unless_it_is_unforeseen(
    step: str, fault: Reply | Exception
) -> None:
    good = FakeUpstream()
    bad = FakeUpstream(faults={step: fault})
    groups = [group(good), group(bad), group(good)]
    if step == "open" and isinstance(fault, Reply):
        return
    if isinstance(fault, RuntimeError):
        with pytest.raises(RuntimeError):
            await prepare_each(groups, until())
    else:
        one, answer, other = await prepare_each(groups, until())
        assert isinstance(answer, Reply)
        assert not answer.is_positive
        assert isinstance(one, Prepared)
        await abort_all([one, other])
    assert (good.sent, good.leaked, bad.leaked) == ([], 0, 0)


async def test_an_opened_transaction_that_was_lost_is_replaced_once() -> None:
    upstream = FakeUpstream()
    opened = await upstream.open()
    upstream.faults["prepare"] = lost()
    answer = await prepare_opened(group(upstream), opened)
    assert isinstance(answer, Reply)
    assert (upstream.opened, upstream.leaked) == (2, 0)
    opened = await upstream.open()
    opened.extensions = Extensions(size=5)
    refused = await prepare_opened(group(upstream), opened)
    assert isinstance(refused, Reply)
    assert (refused.code, refused.enhanced, upstream.leaked) == (552, "5.3.4", 0)


async def test_the_unforeseen_on_an_opened_transaction_drops_it() -> None:
    upstream = FakeUpstream(faults={"prepare": RuntimeError("x")})
    with pytest.raises(RuntimeError):
        await prepare_opened(group(upstream), await upstream.open())
    assert upstream.leaked == 0


async def test_e43_what_is_too_big_is_refused_before_it_is_sent() -> None:
    """E43."""
    upstream = FakeUpstream(Extensions(size=100))
    assert isinstance(await prepare(group(upstream, size=100)), Prepared)
    refused = await prepare(group(upstream, size=101))
    assert isinstance(refused, Reply)
    assert "101 octets" in refused.text
    utf8 = replace(group(FakeUpstream(Extensions(smtputf8=False))), smtputf8=True)
    answer = await prepare(utf8)
    assert isinstance(answer, Reply)
    assert answer.enhanced == "5.6.7"


def test_parameters_are_what_the_upstream_offers() -> None:
    everything = Extensions(dsn=True)
    assert mail_parameters(everything, smtputf8=True, headers_only=True) == (
        "BODY=8BITMIME",
        "RET=HDRS",
        "SMTPUTF8",
    )
    assert mail_parameters(everything, smtputf8=False, headers_only=False) == ("BODY=8BITMIME",)
    asked = ("RET=full", "ENVID=a+2Bb", "SIZE=5")
    assert mail_parameters(everything, smtputf8=False, headers_only=False, requested=asked) == (
        "BODY=8BITMIME",
        "RET=full",
        "ENVID=a+2Bb",
    )
    assert "RET=HDRS" in mail_parameters(
        everything, smtputf8=False, headers_only=True, requested=asked
    )
    assert mail_parameters(
        everything, smtputf8=False, headers_only=False, requested=("requiretls",)
    ) == ("BODY=8BITMIME", "REQUIRETLS")
    nothing = Extensions(eightbitmime=False)
    assert mail_parameters(nothing, smtputf8=False, headers_only=True) == ()


async def test_dropping_nothing_is_nothing() -> None:
    await drop(None)


@pytest.mark.parametrize("asked", ["RET=HDRS", "envid=x", "NOTIFY=NEVER", "ORCPT=rfc822;x@y"])
def test_what_is_no_longer_offered_is_refused_for_now(asked: str) -> None:
    refusal = unmet(Extensions(), (asked,))
    assert refusal is not None
    assert (refusal.code, refusal.enhanced) == (451, "4.4.2")
    assert unmet(Extensions(dsn=True), (asked,)) is None


async def test_each_group_asks_for_its_own_notifications() -> None:
    upstream = FakeUpstream(Extensions(dsn=True))
    asked = replace(group(upstream), parameters=("ENVID=x", "RET=FULL"))
    for one in (asked, replace(asked, headers_only=True)):
        await (await ready(one)).commit()
    assert [sent.parameters[1:] for sent in upstream.sent] == [
        ("RET=FULL", "ENVID=x"),
        ("RET=HDRS", "ENVID=x"),
    ]
    bare = replace(asked, upstream=FakeUpstream())
    answer = await prepare(bare)
    assert isinstance(answer, Reply)
    assert answer.code == 451


@pytest.mark.parametrize("opened", [False, True])
async def test_8_bit_content_without_8bitmime_is_refused_or_what_we_opened_encoded(
    opened: bool,
) -> None:
    """RFC 6152 3: on the transaction of the client and on one of its own."""
    upstream = FakeUpstream(Extensions(eightbitmime=False))
    content = (b"Received: x\r\n", "Subject: x\r\n\r\ngrün\r\n".encode())
    asked = replace(group(upstream), content=content, opened=opened)
    transaction = await upstream.open()
    await transaction.rcpt(asked.paths[0])
    for answer in (await prepare(asked), await prepare_opened(asked, transaction)):
        if opened:
            assert isinstance(answer, Prepared)
            await answer.commit()
        else:
            assert isinstance(answer, Reply)
            assert (answer.code, answer.enhanced) == (554, "5.6.3")
    assert [sent.content.isascii() for sent in upstream.sent] == [True, True][: 2 * opened]
    assert upstream.leaked == 0


async def test_what_must_go_by_tls_goes_no_other_way() -> None:
    """RFC 8689 4.2.1."""
    upstream = FakeUpstream(Extensions(requiretls=True))
    asked = replace(group(upstream), parameters=("REQUIRETLS",))
    for _ in range(2):
        await (await ready(asked)).commit()
    assert [sent.parameters for sent in upstream.sent] == [("BODY=8BITMIME", "REQUIRETLS")] * 2
    refused = await prepare(replace(asked, upstream=FakeUpstream()))
    assert isinstance(refused, Reply)
    assert (refused.code, refused.enhanced) == (550, "5.7.30")
    assert len(upstream.sent) == 2
    assert kept_for_copies(("SIZE=1", "requiretls", "ENVID=x")) == ("requiretls",)


def test_the_verdict_on_a_group_is_what_somebody_was_refused() -> None:
    a, b, c = group(FakeUpstream(), "a", "b", "c").paths
    busy = replace(NO, code=450)
    assert verdict(((a, OK), (b, OK))) == OK
    assert verdict(((a, OK), (b, NO))) == NO
    assert verdict(((a, NO), (b, OK), (c, busy))) == busy
