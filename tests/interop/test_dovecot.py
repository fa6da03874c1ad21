"""Mail handed to Dovecot by LMTP: what arrives, and one reply for each recipient."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.gateway.ports import Transaction, Upstream
from smime_proxy.smtp.lmtp import LmtpUpstream
from smime_proxy.smtp.relay import ClientInfo, Relay
from tests.dovecot import HOST, Store, dovecot
from tests.peers import require
from tests.ports import free_port

pytestmark = pytest.mark.interop
require("dovecot")

ALICE = parse_mailbox("alice@example.com")
BOB, CAROL, FULL = "bob@example.org", "carol@example.org", "full@example.org"
CONTENT = b"Subject: x\r\n\r\n.dot\r\n..\r\n\xe9nd\r\n"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with dovecot({BOB: 0, CAROL: 0, FULL: 1000}) as running:
        yield running


@asynccontextmanager
async def upstream_at(store: Store, *, by_socket: bool) -> AsyncIterator[Upstream]:
    if by_socket:
        relay = Relay("", 0, scheme="lmtp", tls="never", socket=store.socket)
    else:
        relay = Relay(HOST, store.port, scheme="lmtp", tls="never")
    upstream = LmtpUpstream(relay, "proxy.example")
    yield upstream
    await upstream.close()


async def prepared(upstream: Upstream, *names: str, content: bytes = CONTENT) -> Transaction:
    transaction = await upstream.open()
    assert (await transaction.mail(ALICE, ["BODY=8BITMIME"])).code == 250
    for name in names:
        await transaction.rcpt(ForwardPath(parse_mailbox(name)))
    assert await transaction.prepare([content]) is None
    return transaction


@pytest.mark.parametrize("by_socket", [False, True])
async def test_mail_arrives_octet_for_octet_on_a_session_that_is_kept(
    store: Store, by_socket: bool
) -> None:
    before = len(store.mail(BOB))
    async with upstream_at(store, by_socket=by_socket) as upstream:
        for _ in range(2):
            (reply,) = await (await prepared(upstream, BOB)).commit()
            assert reply.code == 250
    assert len(store.mail(BOB)) == before + 2
    assert store.mail(BOB)[-1].endswith(b"\r\n" + CONTENT)


@pytest.mark.parametrize("by_socket", [False, True])
async def test_a_full_mailbox_refuses_for_itself_only(store: Store, by_socket: bool) -> None:
    before = len(store.mail(BOB)), len(store.mail(CAROL))
    async with upstream_at(store, by_socket=by_socket) as upstream:
        large = CONTENT + b"x\r\n" * 1000
        replies = await (await prepared(upstream, BOB, FULL, CAROL, content=large)).commit()
        assert [(reply.code // 100, reply.enhanced[1:]) for reply in replies] == [
            (2, ".0.0"),
            (replies[1].code // 100, ".2.2"),
            (2, ".0.0"),
        ]
        assert not replies[1].is_positive
    assert (len(store.mail(BOB)), len(store.mail(CAROL))) == (before[0] + 1, before[1] + 1)
    assert store.mail(FULL) == []


async def test_nobody_by_that_name_is_said_at_rcpt(store: Store) -> None:
    async with upstream_at(store, by_socket=True) as upstream:
        transaction = await upstream.open()
        await transaction.mail(ALICE, ())
        reply = await transaction.rcpt(ForwardPath(parse_mailbox("nobody@example.org")))
        assert (reply.code, reply.enhanced) == (550, "5.1.1")
        await transaction.abort()


@pytest.fixture
def believing() -> Iterator[tuple[Store, int]]:
    """Run one that believes us, and give the port where it expects a PROXY header."""
    port = free_port()
    more = f"""
login_trusted_networks = {HOST}
haproxy_trusted_networks = {HOST}
service lmtp {{
  inet_listener proxied {{
    port = {port}
    haproxy = yes
  }}
}}
"""
    with dovecot({BOB: 0}, more) as running:
        yield running, port


@pytest.mark.parametrize("way", ["xclient", "proxy"])
async def test_it_is_told_whose_mail_it_gets(believing: tuple[Store, int], way: ClientInfo) -> None:
    """It writes the address into Received; with nobody's mail, ours."""
    store, proxied = believing
    port = proxied if way == "proxy" else store.port
    relay = Relay(HOST, port, scheme="lmtp", tls="never", client_info=way)
    upstream = LmtpUpstream(relay, "proxy.example")
    for client in ("203.0.113.9", "2001:db8::9", ""):
        origin = Origin(client, 4711, helo="client.example", local_address=HOST) if client else None
        transaction = await upstream.open(origin)
        assert (await transaction.mail(ALICE, ())).code == 250
        assert (await transaction.rcpt(ForwardPath(parse_mailbox(BOB)))).code == 250
        content = f"Subject: for {client or HOST}\r\n\r\n".encode()
        assert await transaction.prepare([content]) is None
        assert [reply.code for reply in await transaction.commit()] == [250]
        (mail,) = (raw for raw in store.mail(BOB) if raw.endswith(content))
        name = "client.example" if client and way == "xclient" else "proxy.example"
        assert f"Received: from {name} ([{client or HOST}])\r\n".encode() in mail
    await upstream.close()
