"""Conversations as text, tests/dialogues/*.smtp, against a listening server.

`C:` is a line the client says; several in a row leave in one segment. `c:` is the same with
Python's escapes and no line end added. `S:` is what it must hear next, `...` stands for any rest;
`S: (closed)` is the end of the connection. `G:` is what the gateway was asked, in order, all of
it, checked at the end. `@` sets the scene: `@ role inbound`, `@ stranger`, `@ protocol lmtp`,
`@ set NAME NUMBER`,
`@ offer nothing`, `@ offer dsn requiretls`, `@ reply BEGINNING = 550 5.1.1 text`, which is the
upstream's, `@ own BEGINNING = SITUATION`, which is ours, `@ raise BEGINNING`, `@ soft`.
"""

import ast
import asyncio
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from smime_proxy.envelope import Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply
from smime_proxy.smtp.intake import ByteBudget
from smime_proxy.smtp.listener import ListenerOptions
from tests.unit.smtp.gateway import Client, FakeGateway, options, reply, talking, until

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues").glob("*.smtp"))
SECRET = "db password=secret"  # of an exception no client may read


@dataclass
class Scene:
    role: Role = Role.OUTBOUND
    changes: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, Reply | Exception] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=Extensions)

    def options(self) -> ListenerOptions:
        return options(self.role, **self.changes)


def read_scene(lines: list[str]) -> Scene:
    scene = Scene()
    for line in lines:
        word, _, rest = line.partition(" ")
        match word:
            case "role":
                scene.role = Role(rest)
            case "stranger":
                scene.changes["trusted_networks"] = ()
            case "protocol":
                scene.changes["protocol"] = rest
            case "set":
                name, _, number = rest.partition(" ")
                scene.changes[name] = int(number)
            case "offer" if rest == "nothing":
                scene.extensions = Extensions(eightbitmime=False, smtputf8=False)
            case "offer":
                offered: dict[str, Any] = dict.fromkeys(rest.split(), True)
                scene.extensions = Extensions(**offered)
            case "reply":
                beginning, _, answer = rest.partition(" = ")
                scene.replies[beginning] = reply(answer)
            case "own":
                beginning, _, situation = rest.partition(" = ")
                scene.replies[beginning] = reply_for(situation)
            case "soft":
                scene.changes["mode"] = Mode.SOFT
            case "raise":
                scene.replies[rest] = RuntimeError(SECRET)
            case _:
                pytest.fail(f"unknown scene: {line}")
    return scene


def steps(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    marked = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(mark, rest) for mark, _, rest in marked]


def octets(spoken: list[tuple[str, str]]) -> bytes:
    return b"".join(
        f"{rest}\r\n".encode() if mark == "C:" else ast.literal_eval(f'b"""{rest}"""')
        for mark, rest in spoken
    )


async def expect(client: Client, wanted: str) -> None:
    heard = await client.hear()
    if wanted.endswith("..."):
        assert heard[: len(wanted) - 3] == wanted[:-3]
    else:
        assert heard == ("" if wanted == "(closed)" else wanted)


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
async def test_the_server_keeps_to_the_dialogue(path: Path) -> None:
    script = steps(path)
    scene = read_scene([rest for mark, rest in script if mark == "@"])
    gateway = FakeGateway(scene.replies)
    talk = talking(gateway, scene.options(), extensions=lambda: scene.extensions)
    async with talk as (client, _):
        for speaks, turn in groupby(script, lambda step: step[0] in {"C:", "c:"}):
            if speaks:
                client.writer.write(octets(list(turn)))
                continue
            for mark, rest in turn:
                if mark == "S:":
                    await expect(client, rest)
    assert gateway.notes == [rest for mark, rest in script if mark == "G:"]


async def test_the_dialogues_are_found() -> None:
    assert len(DIALOGUES) > 20


async def test_delivery_goes_on_when_the_client_leaves() -> None:
    """E22: the outcome of a delivery that has begun is known whether or not anybody listens."""
    gateway = FakeGateway()
    gateway.permission.clear()
    async with talking(gateway) as (client, listener):
        await client.begin()
        await client.ask("DATA")
        client.say("text", ".")
        await gateway.started.wait()
        client.reset()
        await asyncio.sleep(0.05)
        assert listener.sessions == 1
        gateway.permission.set()
        await asyncio.wait_for(gateway.finished.wait(), 5)
    assert gateway.client_gone is True
    assert "reset" not in gateway.notes


async def test_a_client_that_waits_is_not_gone() -> None:
    gateway = FakeGateway()
    gateway.permission.clear()
    async with talking(gateway) as (client, _):
        await client.begin()
        await client.ask("DATA")
        client.say("text", ".", "QUIT")
        client.writer.write_eof()  # all is said, but the replies are still read
        await gateway.started.wait()
        await asyncio.sleep(0.05)
        gateway.permission.set()
        assert await client.answer() == "250 Ok"
        assert (await client.answer()).startswith("221 ")
    assert gateway.client_gone is False


async def test_what_a_lost_client_had_piped_is_not_obeyed() -> None:
    gateway = FakeGateway()
    gateway.permission.clear()
    async with talking(gateway) as (client, listener):
        await client.begin()
        await client.ask("DATA")
        client.say("one", ".", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>")
        await gateway.started.wait()
        client.reset()
        await asyncio.sleep(0.05)
        gateway.permission.set()
        await until(lambda: not listener.sessions)
    assert len(gateway.sessions) == 1


async def test_a_lost_client_ends_its_transaction_upstream() -> None:
    gateway = FakeGateway()
    async with talking(gateway) as (client, listener):
        await client.begin()
        client.writer.transport.abort()
        await until(lambda: not listener.sessions)
    assert gateway.notes[-1] == "reset"


async def test_memory_for_messages_is_returned() -> None:
    gateway = FakeGateway({"data": RuntimeError(SECRET)})
    async with talking(gateway) as (client, listener):
        await client.begin()
        await client.ask("DATA")
        client.say("x" * 1000, ".")
        assert (await client.answer()).startswith("451 4.3.0 ")
        assert listener._admission.budget.used == 0


async def test_a_session_that_only_passes_the_time_is_ended() -> None:
    async with talking(FakeGateway()) as (client, _):
        client.say(*["NOOP"] * 200)
        heard = [await client.hear() for _ in range(103)]
    assert heard[101] == "250 2.0.0 Ok"
    assert heard[102].startswith("421 4.7.0 ")


async def test_a_session_with_mail_does_not_pass_the_time() -> None:
    async with talking(FakeGateway()) as (client, _):
        await client.begin()
        for _ in range(2):
            client.say(*["NOOP"] * 60)
            assert {await client.answer() for _ in range(60)} == {"250 2.0.0 Ok"}
            await client.ask("DATA")
            client.say("text", ".")
            assert await client.answer() == "250 Ok"
            for line in ("MAIL FROM:<>", "RCPT TO:<b@example.org>"):
                assert await client.ask(line) == "250 Ok"


async def test_mail_that_would_not_fit_in_memory_is_put_off_before_it_is_sent() -> None:
    gateway = FakeGateway()
    async with talking(gateway, budget=ByteBudget(100, used=50)) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        assert (await client.ask("MAIL FROM:<> SIZE=51")).startswith("452 4.3.1 ")
        assert await client.ask("MAIL FROM:<> SIZE=50") == "250 Ok"


async def test_what_was_offered_may_be_used_though_no_longer_offered_to_others() -> None:
    """A reload, or another session with the upstream, changes nothing in the middle of this one."""
    offers = [Extensions(dsn=True)]
    gateway = FakeGateway()
    async with talking(gateway, extensions=lambda: offers[-1]) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        offers.append(Extensions(eightbitmime=False, smtputf8=False))
        assert await client.ask("MAIL FROM:<a@x.org> BODY=8BITMIME RET=HDRS") == "250 Ok"
        assert await client.ask("RCPT TO:<b@example.org> NOTIFY=NEVER") == "250 Ok"
        await client.ask("RSET")
        await client.ask("EHLO x")
        assert (await client.ask("MAIL FROM:<a@x.org> RET=HDRS")).startswith("555 ")
