"""One transaction: whom it serves, what it takes, and that it is always ended."""

import asyncio
from typing import Any

import pytest

from smime_proxy.envelope import Role
from smime_proxy.gateway.ports import Extensions
from smime_proxy.smtp.admission import Admission
from smime_proxy.smtp.intake import ByteBudget, Intake
from smime_proxy.smtp.transaction import Transaction
from tests.unit.smtp.gateway import FakeGateway, options, reply

LIMIT = 1000


def transaction(
    gateway: FakeGateway,
    role: Role = Role.OUTBOUND,
    *,
    budget: int = 10_000,
    prdr: bool = False,
    **changes: Any,
) -> tuple[Transaction, Admission]:
    admission = Admission(options(role, **changes), gateway, Extensions, ByteBudget(budget), None)
    conversation = gateway.begin(None)  # type: ignore[arg-type] # nobody looks at it
    under = Transaction(admission, conversation, LIMIT, Extensions(), smtputf8=False, prdr=prdr)
    return under, admission


def intake_of(raw: bytes) -> Intake:
    intake = Intake(asyncio.get_running_loop(), _ignore)
    intake.feed(raw)
    return intake


def _ignore(*, on: bool) -> None:
    """Stand for a socket whose reading needs no switching."""


async def ask(under: Transaction, address: str) -> str:
    answer = await under.rcpt(f"TO:<{address}>".encode())
    return f"{answer.code} {answer.enhanced}".strip()


@pytest.mark.parametrize(
    ("role", "address", "answer"),
    [
        (Role.OUTBOUND, "b@elsewhere.example", "250"),
        (Role.OUTBOUND, "b%c@elsewhere.example", "250"),
        (Role.INBOUND, "b@Example.COM", "250"),
        (Role.INBOUND, "b@elsewhere.example", "550 5.7.1"),
        (Role.INBOUND, "b%c@example.com", "550 5.7.1"),
        (Role.INBOUND, "b@sub.example.com", "550 5.7.1"),
        (Role.INBOUND, "b@example.com.evil.example", "550 5.7.1"),
        (Role.INBOUND, "postmaster", "250"),
        (Role.INBOUND, "postmaster@proxy.example.test", "250"),
        (Role.INBOUND, "other@proxy.example.test", "550 5.7.1"),
    ],
)
async def test_recipients_are_ours_or_refused(role: Role, address: str, answer: str) -> None:
    """I8, A01: the gateway never hears of mail that would be relayed."""
    gateway = FakeGateway()
    under, _ = transaction(gateway, role)
    assert await ask(under, address) == answer
    assert len(gateway.notes) == (answer == "250")


async def test_recipients_refused_upstream_do_not_count_for_the_limit() -> None:
    gateway = FakeGateway({"rcpt <no": reply("550 5.1.1 no")})
    under, _ = transaction(gateway, max_recipients=1)
    answers = [await ask(under, f"{name}@example.org") for name in ("no1", "no2", "b", "c")]
    assert answers == ["550 5.1.1", "550 5.1.1", "250", "452 4.5.3"]


async def test_data_waits_for_a_recipient() -> None:
    under, _ = transaction(FakeGateway({"rcpt": reply("450 4.2.1 busy")}))
    assert str(under.refusal()).startswith("503 5.5.1 ")
    await ask(under, "b@example.org")
    assert str(under.refusal()).startswith("554 5.5.1 ")


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (b"text\r\n.\r\n", "250 Ok"),
        (b"x" * 2 * LIMIT + b"\r\n.\r\n", "552 5.3.4 "),
        (b"x" * 4 * LIMIT, "421 4.3.4 "),
        (b"half", "421 4.4.2 "),
    ],
)
async def test_each_message_has_one_reply_and_one_end(wire: bytes, answer: str) -> None:
    gateway = FakeGateway()
    under, admission = transaction(gateway)
    await ask(under, "b@example.org")
    intake = intake_of(wire)
    intake.end()
    (reply,) = await under.take(intake, lambda: False)
    assert str(reply).startswith(answer)
    await under.abandon()
    ends = [note for note in gateway.notes if note.startswith(("data", "reset"))]
    assert len(ends) == 1
    assert admission.budget.used == 0


async def assert_answers(
    under: Transaction, admission: Admission, wire: bytes, answers: list[str]
) -> None:
    """Send the content; the replies begin so, and no memory stays counted."""
    intake = intake_of(wire)
    intake.end()
    said = [str(one) for one in await under.take(intake, lambda: False)]
    assert len(said) == len(answers)
    for one, answer in zip(said, answers, strict=True):
        assert one.startswith(answer)
    assert admission.budget.used == 0


@pytest.mark.parametrize(
    ("wire", "answers"),
    [
        (b"text\r\n.\r\n", ["250 Ok", "550 5.1.1 no"]),
        (b"x" * 2 * LIMIT + b"\r\n.\r\n", ["552 5.3.4 ", "552 5.3.4 "]),
        (b"half", ["421 4.4.2 "]),
    ],
)
async def test_by_lmtp_each_recipient_accepted_has_a_reply(wire: bytes, answers: list[str]) -> None:
    """RFC 2033 4.2."""
    gateway = FakeGateway({"rcpt <no@": reply("550 5.1.1 no"), "each <c@": reply("550 5.1.1 no")})
    under, admission = transaction(gateway, protocol="lmtp")
    for address in ("b@example.org", "no@example.org", "c@example.org"):
        await ask(under, address)
    await assert_answers(under, admission, wire, answers)


@pytest.mark.parametrize(
    ("wire", "answers"),
    [
        (b"text\r\n.\r\n", ["353 ", "250 Ok", "550 5.1.1 no", "250 Ok"]),
        (b"x" * 2 * LIMIT + b"\r\n.\r\n", ["552 5.3.4 "]),  # no 353: it is on the whole
        (b"half", ["421 4.4.2 "]),
    ],
)
async def test_with_prdr_each_has_a_reply_between_353_and_the_whole(
    wire: bytes, answers: list[str]
) -> None:
    gateway = FakeGateway({"each <c@": reply("550 5.1.1 no")})
    under, admission = transaction(gateway, prdr=True)
    for address in ("b@example.org", "c@example.org"):
        await ask(under, address)
    await assert_answers(under, admission, wire, answers)


async def test_with_prdr_a_conversation_that_was_given_up_is_put_off_on_the_whole() -> None:
    gateway = FakeGateway()
    under, _ = transaction(gateway, prdr=True)
    for address in ("b@example.org", "c@example.org"):
        await ask(under, address)
    gateway.forgetful = True
    said = await under.take(intake_of(b"text\r\n.\r\n"), lambda: False)
    assert [str(one)[:10] for one in said] == ["451 4.4.2 "]


async def test_by_lmtp_a_conversation_that_was_given_up_leaves_no_recipient_unanswered() -> None:
    gateway = FakeGateway()
    under, _ = transaction(gateway, protocol="lmtp")
    for address in ("b@example.org", "c@example.org"):
        await ask(under, address)
    gateway.forgetful = True
    said = await under.take(intake_of(b"text\r\n.\r\n"), lambda: False)
    assert [str(one)[:10] for one in said] == ["451 4.4.2 "] * 2


async def test_spent_memory_is_temporary() -> None:
    gateway = FakeGateway()
    under, admission = transaction(gateway, budget=100)
    (answer,) = await under.take(intake_of(b"x" * 200 + b"\r\n.\r\n"), lambda: False)
    assert str(answer).startswith("452 4.3.1 ")
    assert gateway.notes == ["reset"]
    assert admission.budget.used == 0


async def test_memory_is_held_while_the_gateway_works() -> None:
    gateway = FakeGateway()
    gateway.permission.clear()
    under, admission = transaction(gateway)
    taking = asyncio.ensure_future(under.take(intake_of(b"text\r\n.\r\n"), lambda: False))
    await gateway.started.wait()
    assert admission.budget.used == len(b"text\r\n")
    gateway.permission.set()
    await taking
    assert admission.budget.used == 0
