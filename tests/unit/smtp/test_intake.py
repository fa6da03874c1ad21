"""Command lines and content, whatever the pieces they come in."""

import asyncio
import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smime_proxy.smtp.allowance import Allowance
from smime_proxy.smtp.intake import (
    HIGH_WATER_OCTETS,
    MAX_COMMAND_OCTETS,
    MAX_JUNK_OCTETS,
    ByteBudget,
    Content,
    Intake,
    Shortfall,
    collect,
    normalise,
)

PLENTY = 1 << 30
USUAL = Allowance(idle=9, line=9, chunk=9, content=9, behind=9, rate=0)
WIRE = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\n.", b"\r\n..", b"\0"]), max_size=12
).map(b"".join)


def patient() -> Allowance:
    return USUAL


class Switch:
    """Notes how reading was switched."""

    def __init__(self) -> None:
        self.turns: list[bool] = []

    def __call__(self, *, on: bool) -> None:
        self.turns.append(on)


async def intake_of(*pieces: bytes, switch: Switch | None = None) -> Intake:
    intake = Intake(asyncio.get_running_loop(), switch or Switch())
    for piece in pieces:
        intake.feed(piece)
    return intake


async def collected(
    pieces: list[bytes], limit: int = PLENTY, budget: ByteBudget | None = None
) -> tuple[Content | Shortfall, bytes]:
    """Collect from pieces that come one at a time; gives the rest of the buffer too."""
    intake = await intake_of()
    task = asyncio.ensure_future(collect(intake, limit, budget or ByteBudget(PLENTY), patient))
    for piece in pieces:
        await asyncio.sleep(0)
        intake.feed(piece)
    await asyncio.sleep(0)
    intake.end()
    return await task, bytes(intake.buffer)


def expected(wire: bytes) -> tuple[bytes, bytes] | None:
    """Say by the letter of RFC 5321 4.5.2 what content and rest are: line by line."""
    content = b""
    lines = wire.split(b"\r\n")
    for number, line in enumerate(lines[:-1]):
        if line == b".":
            return content, b"\r\n".join(lines[number + 1 :])
        content += line.removeprefix(b".") + b"\r\n"
    return None


def pieces_of(wire: bytes, size: int) -> list[bytes]:
    return [wire[start : start + size] for start in range(0, len(wire), size)]


@given(WIRE, st.integers(1, 7), WIRE)
@example(b".", 1, b"")
@example(b"a\r\n", 3, b"\r\n")
@example(b"\r\n..\r\n", 5, b".")
async def test_content_is_what_the_rfc_says_in_any_pieces(
    text: bytes, size: int, rest: bytes
) -> None:
    wire = text + b"\r\n.\r\n" + rest
    content, left = await collected(pieces_of(wire, size))
    wanted = expected(wire)
    assert wanted is not None
    assert isinstance(content, Content)
    assert (content.raw, left) == wanted
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n", content.raw)
    # What unstuffing joins (CR, then a dot's LF) is no line end on the wire: judged there.
    wire_bare = re.search(rb"\r(?!\n)|(?<!\r)\n", wire[: len(wire) - len(left) - 3])
    assert content.clean == (wire_bare is None)
    assert bare is None or not content.clean


FALSE_ENDS = [
    left + dot + right
    for left in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n\0")
    for dot in (b".", b"\0.", b".\0")
    for right in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n")
    if b"\r\n.\r\n" not in left + dot + right
]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
async def test_e09_a_false_end_is_no_end_wherever_it_is_cut(end: bytes) -> None:
    wire = b"a" + end + b"b\r\n.\r\nNOOP\r\n"
    for cut in range(1, len(wire)):
        content, left = await collected([wire[:cut], wire[cut:]])
        assert isinstance(content, Content)
        assert content.raw.endswith(b"b\r\n")
        assert left == b"NOOP\r\n"


@given(WIRE, st.integers(1, 7))
async def test_content_without_its_end_is_no_content(text: bytes, size: int) -> None:
    if expected(text) is None:
        assert (await collected(pieces_of(text, size)))[0] is Shortfall.LOST


async def test_content_over_the_limit_is_swallowed_to_its_end() -> None:
    wire = b"x" * 15 + b"\r\n.\r\nNOOP\r\n"
    for size in range(1, 20):
        content, left = await collected(pieces_of(wire, size), limit=10)
        assert content is Shortfall.TOO_LARGE
        assert b"NOOP\r\n".startswith(left[:6])


async def test_content_of_exactly_the_limit_is_taken() -> None:
    content, _ = await collected([b"12345678\r\n.\r\n"], limit=10)
    assert isinstance(content, Content)
    assert (await collected([b"123456789\r\n.\r\n"], limit=10))[0] is Shortfall.TOO_LARGE


async def test_stuffing_does_not_count() -> None:
    """RFC 1870 3, where it makes most of it: four octets of three."""
    content, _ = await collected([b"..\r\n" * 300, b".\r\n"], limit=900)
    assert isinstance(content, Content)
    assert len(content.raw) == 900


async def test_content_that_never_ends_is_given_up() -> None:
    assert (await collected([b"x" * 10] * 8, limit=10))[0] is Shortfall.ENDLESS


async def test_budget_counts_the_content_held_and_nothing_else() -> None:
    budget = ByteBudget(100)
    content, _ = await collected([b"..234567\r\n.\r\n"], budget=budget)
    assert isinstance(content, Content)
    assert budget.used == len(content.raw) == 9
    await collected([b"x" * 50], budget=budget)
    assert budget.used == 9
    assert (await collected([b"x" * 95 + b"\r\n.\r\n"], budget=budget))[0] is Shortfall.NO_ROOM
    assert budget.used == 9


async def test_lines_come_without_their_line_end() -> None:
    intake = await intake_of(b"NOOP\r\nEH", b"LO x\r\n\nRSET")
    assert [intake.line() for _ in range(4)] == [b"NOOP", b"EHLO x", b"", None]


async def test_line_too_long_is_told_by_its_length() -> None:
    intake = await intake_of(b"x" * MAX_COMMAND_OCTETS)
    assert intake.line() is None
    intake.feed(b"x")
    assert intake.line() is None
    intake.feed(b"y" * 5000 + b"\r\nNOOP\r\n")
    line = intake.line()
    assert line is not None
    assert len(line) > MAX_COMMAND_OCTETS
    assert intake.line() == b"NOOP"


async def test_line_without_end_is_the_end() -> None:
    intake = await intake_of()
    for _ in range(MAX_JUNK_OCTETS // 10_000 + 1):
        intake.feed(b"x" * 10_000)
        assert intake.line() is None
    assert intake.ended
    assert not intake.buffer


async def test_reading_stops_while_nobody_takes_what_came() -> None:
    switch = Switch()
    intake = await intake_of(b"x" * HIGH_WATER_OCTETS, switch=switch)
    assert switch.turns == []
    intake.feed(b"x")
    intake.feed(b"x")
    assert switch.turns == [False]
    waiting = asyncio.ensure_future(intake.more(1))
    await asyncio.sleep(0)
    assert switch.turns == [False, True]
    intake.wake()
    await waiting


async def test_deadline_runs_only_while_the_client_is_awaited() -> None:
    intake = await intake_of()
    assert intake.deadline == float("inf")
    waiting = asyncio.ensure_future(intake.more(5))
    await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    assert now < intake.deadline <= now + 5
    intake.feed(b"x")
    await waiting
    assert intake.deadline == float("inf")
    waiting = asyncio.ensure_future(intake.more(5, until=now + 2))
    await asyncio.sleep(0)
    assert intake.deadline == now + 2
    intake.wake()
    await waiting


async def test_a_deadline_is_hurried_only_where_there_is_one() -> None:
    intake = await intake_of()
    intake.hurry(1)
    assert intake.deadline == math.inf  # it is us who work: nobody is to blame
    waiting = asyncio.ensure_future(intake.more(5))
    await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    intake.hurry(1)
    assert intake.deadline <= now + 2
    intake.hurry(4)
    assert intake.deadline <= now + 2
    intake.wake()
    await waiting


async def test_something_has_begun_when_a_part_of_it_is_here_or_was_skipped() -> None:
    intake = await intake_of()
    assert not intake.has_begun
    intake.feed(b"N")
    assert intake.has_begun
    intake.feed(b"OOP\r\n" + b"x" * (MAX_COMMAND_OCTETS + 1))
    assert intake.line() == b"NOOP"
    assert intake.line() is None
    assert not intake.buffer
    assert intake.has_begun


async def test_content_earns_time_with_each_octet_and_none_without() -> None:
    intake = await intake_of()
    allowed = Allowance(idle=9, line=9, chunk=900, content=9000, behind=50, rate=1)
    now = asyncio.get_running_loop().time()
    task = asyncio.ensure_future(collect(intake, PLENTY, ByteBudget(PLENTY), lambda: allowed))
    await asyncio.sleep(0)
    assert intake.deadline == pytest.approx(now + 50, abs=5)
    intake.feed(b"x" * 100)
    await asyncio.sleep(0)
    assert intake.deadline == pytest.approx(now + 150, abs=5)
    intake.feed(b"x" * 5000)
    await asyncio.sleep(0)
    assert intake.deadline == pytest.approx(now + 900, abs=5)  # no more is earned in advance
    allowed = allowed.hurried(3)
    intake.wake()
    await asyncio.sleep(0)
    assert intake.deadline == pytest.approx(now + 3, abs=2)
    intake.feed(b"\r\n.\r\n")
    assert isinstance(await task, Content)


async def test_content_whose_end_is_not_known_is_never_read_as_commands() -> None:
    class Broken(ByteBudget):
        def take(self, octets: int) -> bool:
            raise MemoryError(octets)

    intake = await intake_of(b"x\r\nMAIL FROM:<a@b>\r\n.\r\n")
    with pytest.raises(MemoryError):
        await collect(intake, PLENTY, Broken(PLENTY), patient)
    assert intake.ended
    assert intake.line() is None


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"a\nb\rc\r\nd", b"a\r\nb\r\nc\r\nd"),
        (b"a\r\r\nb", b"a\r\nb"),
        (b"\n\n", b"\r\n\r\n"),
        (b"\r\r", b"\r\n\r\n"),
    ],
)
def test_every_line_end_becomes_crlf(raw: bytes, wanted: bytes) -> None:
    assert normalise(raw) == wanted


@given(WIRE)
def test_normalised_content_has_no_bare_line_end(raw: bytes) -> None:
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", normalise(raw))
