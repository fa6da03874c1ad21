"""Transactions with Postfix's smtp-sink: what arrives, and every command failing."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.ports import UpstreamError
from smime_proxy.reply import Reply
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.upstream import SmtpUpstream
from tests.peers import locate, require
from tests.ports import free_port
from tests.tied import tied

pytestmark = pytest.mark.interop
require("postfix")

ALICE = parse_mailbox("alice@example.com")
BOB = ForwardPath(parse_mailbox("bob@example.org"))
CONTENT = [b"Subject: x\r\n\r\n", b".dot\r\n..\r\n.\r\n\xe9nd\r\n"]
SHORT = Timeouts(connect=10, greeting=5, command=5, mail=5, rcpt=5, data=5, block=5, dot=5)


@contextmanager
def smtp_sink(*options: str) -> Iterator[tuple[int, Path]]:
    """Run smtp-sink; give its port and the folder it may write in."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="smtp-sink-"))
    folder.chmod(0o777)
    program = str(locate("smtp-sink"))
    process = subprocess.Popen(
        [program, *options, f"127.0.0.1:{port}", "64"],
        cwd=folder,
        stderr=subprocess.PIPE,
        user="nobody" if os.geteuid() == 0 else None,
        preexec_fn=tied(),
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port, folder
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder)


def upstream_at(port: int) -> SmtpUpstream:
    return SmtpUpstream(Relay("127.0.0.1", port, tls="never"), "proxy.example", SHORT)


async def send(upstream: SmtpUpstream, content: Sequence[bytes] = CONTENT) -> Reply:
    """Do what a gateway does with one message: stop at the first answer that is no yes."""
    try:
        transaction = await upstream.open()
    except UpstreamError as error:
        return error.reply
    try:
        reply = await transaction.mail(ALICE, ["BODY=8BITMIME"])
        if reply.is_positive:
            reply = await transaction.rcpt(BOB)
        if not reply.is_positive:
            return reply
        refusal = await transaction.prepare(content)
        return (await transaction.commit())[0] if refusal is None else refusal
    except UpstreamError as error:
        return error.reply
    finally:
        await transaction.abort()


async def test_what_was_sent_is_what_arrives() -> None:
    with smtp_sink("-d", "mail.") as (port, folder):
        upstream = upstream_at(port)
        for _ in range(3):
            assert (await send(upstream)).code == 250
        await upstream.close()
        dumped = [file.read_bytes() for file in folder.iterdir() if file.name.startswith("mail.")]
    assert len(dumped) == 3
    expected = b"".join(CONTENT).replace(b"\r\n", b"\n")
    for raw in dumped:
        assert raw.replace(b"\r\n", b"\n").endswith(expected + b"\n") or raw.endswith(expected)
        assert b"X-Mail-Args: <alice@example.com> BODY=8BITMIME\n" in raw
        assert b"X-Rcpt-Args: <bob@example.org>\n" in raw


@pytest.mark.parametrize("options", [(), ("-p",), ("-e",), ("-E",)], ids=str)
async def test_it_speaks_with_servers_that_offer_less(options: tuple[str, ...]) -> None:
    """No pipelining (-p), no ESMTP (-e), no enhanced status (-E)."""
    with smtp_sink(*options) as (port, _):
        upstream = upstream_at(port)
        assert (await send(upstream)).code == 250
        assert (await send(upstream)).code == 250
        await upstream.close()


async def test_large_messages_pass() -> None:
    line = b"." + b"x" * 70 + b"\r\n"
    with smtp_sink() as (port, _):
        upstream = upstream_at(port)
        assert (await send(upstream, [line * 100_000])).code == 250
        await upstream.close()


@pytest.mark.parametrize("command", ["connect", "helo", "ehlo", "mail", "rcpt", "data", "."])
@pytest.mark.parametrize(
    ("fault", "code"), [("-q", 451), ("-Q", 451), ("-r", 450), ("-f", 500)], ids=str
)
async def test_a_command_that_fails_gives_one_clear_answer(
    fault: str, code: int, command: str
) -> None:
    """-q hangs up, -Q says 421 and hangs up, -r refuses for now, -f for good; I9, I10."""
    with smtp_sink(fault, command) as (port, _):
        upstream = upstream_at(port)
        reply = await send(upstream)
        await upstream.close()
    if command == "helo":
        assert reply.code == 250  # EHLO was enough
    elif command in ("connect", "ehlo"):
        # -f: the server knows no EHLO, and HELO is enough.
        assert reply.code == (250 if (fault, command) == ("-f", "ehlo") else 451)
    else:
        assert reply.code == code


@pytest.mark.parametrize("command", ["rset", "quit", "noop"])
@pytest.mark.parametrize("fault", ["-q", "-Q", "-r", "-f"])
async def test_commands_beside_the_mail_may_fail(fault: str, command: str) -> None:
    with smtp_sink(fault, command) as (port, _):
        upstream = upstream_at(port)
        transaction = await upstream.open()
        await transaction.mail(ALICE, ())
        await transaction.abort()
        assert (await send(upstream)).code == 250
        await upstream.close()
