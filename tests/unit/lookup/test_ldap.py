"""The LDAP client against OpenLDAP's server, and against servers that mean no good."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.cms import ber, der
from smime_proxy.lookup import ldap
from smime_proxy.lookup.ldap import LdapDirectory, Search, Server
from smime_proxy.lookup.ldap_filter import read_filter
from smime_proxy.lookup.source import SourceDown, SourceUnreachable, Told
from smime_proxy.smtp.tls import client_context
from tests import pki
from tests.peers import require
from tests.ports import free_port
from tests.slapd import PASSWORD, READER, SUFFIX, Directory, Entry, slapd
from tests.tls_files import TlsFiles, make_tls_files
from tests.unit.cms.made import signed_data

HOST = "127.0.0.1"
PAT = parse_mailbox("pat@example.org")
ROOT = pki.root("LDAP Root", kind="p256")
ISSUING = pki.intermediate(ROOT, "LDAP Issuing", kind="p256")
MINE = pki.person(ISSUING, PAT.text, kind="p256")
OLD = pki.person(ISSUING, PAT.text, kind="p256", label="old")
STAR = pki.person(ISSUING, '"*"@example.org', kind="p256")
MANY = [pki.person(ISSUING, PAT.text, kind="p256", label="many") for _ in range(30)]
BOUQUET = signed_data(certificates=[MINE.der, ISSUING.der])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, tls: TlsFiles) -> Iterator[Directory]:
    require("slapd")
    many = [Entry(f"crowd{n}", (MINE.der,), name=f"crowd{n}") for n in range(ldap.MAX_ENTRIES + 4)]
    entries = [
        Entry(PAT.text, (OLD.der,), (BOUQUET,)),
        Entry("none@example.org"),
        Entry(
            "big@example.org", (), (signed_data(content=bytes(300_000), certificates=[MINE.der]),)
        ),
        Entry("many@example.org", [one.der for one in MANY]),
        Entry("broken@example.org", (MINE.der,), (b"\x30\x03no",)),
        Entry('"*"@example.org', (STAR.der,)),
        Entry("", name="elsewhere", referral="ldap://127.0.0.1:1/dc=example,dc=net"),
        *many,
    ]
    with slapd(tmp_path_factory.mktemp("slapd"), entries, tls=tls) as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, tls: TlsFiles) -> Iterator[Directory]:
    """A directory that shows nothing to strangers."""
    folder = tmp_path_factory.mktemp("closed")
    with slapd(folder, [Entry(PAT.text, (MINE.der,))], tls=tls, anonymous=False) as running:
        yield running


def source(
    server: Server, text: str = "(mail={address})", base: str = SUFFIX, **more: float
) -> LdapDirectory:
    return LdapDirectory("corp", server, Search(base, read_filter(text)), more.get("timeout", 5.0))


async def ask(server: Server, address: str, text: str = "(mail={address})") -> Told:
    asked = source(server, text)
    try:
        return await asked.ask(parse_mailbox(address))
    finally:
        await asked.close()


async def test_certificates_come_from_both_attributes(directory: Directory) -> None:
    told = await ask(Server(HOST, directory.port, None), PAT.text)
    assert set(told.certificates) == {OLD.certificate, MINE.certificate, ISSUING.certificate}
    assert told.reason == ""


async def test_who_is_not_there_has_no_certificate(directory: Directory) -> None:
    server = Server(HOST, directory.port, None)
    for address in ("nobody@example.org", "none@example.org"):
        assert await ask(server, address) == Told(reason="it has no certificate")


async def test_one_unreadable_value_hides_no_other(directory: Directory) -> None:
    told = await ask(Server(HOST, directory.port, None), "broken@example.org")
    assert told.certificates == (MINE.certificate,)
    assert told.reason == "none of its certificates carries broken@example.org"


async def test_values_have_their_limits(directory: Directory) -> None:
    server = Server(HOST, directory.port, None)
    assert len((await ask(server, "many@example.org")).certificates) == ldap.MAX_VALUES
    big = await ask(server, "big@example.org")
    assert (big.certificates, big.reason) == ((), "its certificate cannot be read")


@pytest.mark.parametrize("address", ['"*"@example.org', '"*)(mail=*"@example.org', r'"\\2a"@x.org'])
async def test_an_address_asks_for_itself_only(directory: Directory, address: str) -> None:
    """RFC 4515: no asterisk or parenthesis of an address finds anybody else."""
    told = await ask(Server(HOST, directory.port, None), address)
    expected = (STAR.certificate,) if address == '"*"@example.org' else ()
    assert told.certificates == expected


async def test_no_more_entries_are_taken_than_the_limit(directory: Directory) -> None:
    server = Server(HOST, directory.port, None)
    asked = source(server, "(|(mail=crowd*)(mail={address}))")
    told = await asked.ask(PAT)
    assert told.certificates  # the server itself stopped: sizeLimitExceeded is no failure
    await asked.close()


async def test_referrals_are_not_followed(directory: Directory) -> None:
    server = Server(HOST, directory.port, None)
    told = await ask(server, PAT.text, "(|(mail={address})(objectClass=referral))")
    assert MINE.certificate in told.certificates
    asked = source(server, base=f"cn=elsewhere,{SUFFIX}")
    with pytest.raises(SourceUnreachable, match="refers to another server"):
        await asked.ask(PAT)


async def test_a_base_that_is_not_there_is_no_answer(directory: Directory) -> None:
    asked = source(Server(HOST, directory.port, None), base=f"ou=gone,{SUFFIX}")
    with pytest.raises(SourceUnreachable, match="it has no 'ou=gone") as caught:
        await asked.ask(PAT)
    assert not isinstance(caught.value, SourceDown)


async def test_tls_is_verified_at_once_and_by_starttls(
    directory: Directory, tls: TlsFiles, tmp_path: Path
) -> None:
    stranger = make_tls_files(tmp_path, label="stranger")
    for port, starttls in ((directory.tls_port, False), (directory.port, True)):
        good = Server(HOST, port, client_context(tls.ca), starttls=starttls)
        assert (await ask(good, PAT.text)).certificates
        bad = Server(HOST, port, client_context(stranger.ca), starttls=starttls)
        with pytest.raises(SourceUnreachable, match="its certificate is not trusted"):
            await ask(bad, PAT.text)


async def test_the_name_in_the_servers_certificate_counts(
    directory: Directory, tmp_path: Path
) -> None:
    other = make_tls_files(tmp_path, ("localhost",), "other")  # and not 127.0.0.1
    with slapd(tmp_path / "slapd", [Entry(PAT.text, (MINE.der,))], tls=other) as running:
        server = Server(HOST, running.port, client_context(other.ca), starttls=True)
        with pytest.raises(SourceUnreachable, match="not trusted"):
            await ask(server, PAT.text)


async def test_who_binds_sees_what_strangers_do_not(closed: Directory, tls: TlsFiles) -> None:
    context = client_context(tls.ca)
    known = Server(HOST, closed.port, context, starttls=True, bind_dn=READER, password=PASSWORD)
    assert (await ask(known, PAT.text)).certificates == (MINE.certificate,)
    with pytest.raises(SourceUnreachable):
        await ask(Server(HOST, closed.port, context, starttls=True), PAT.text)
    wrong = Server(HOST, closed.port, context, starttls=True, bind_dn=READER, password="wrong")
    with pytest.raises(SourceUnreachable, match="it refuses cn=reader"):
        await ask(wrong, PAT.text)
    assert PASSWORD not in repr(known)


async def test_connections_are_kept_and_replaced_when_they_went_stale(tmp_path: Path) -> None:
    with slapd(tmp_path / "slapd", [Entry(PAT.text, (MINE.der,))]) as running:
        asked = source(Server(HOST, running.port, None))
        told = [await asked.ask(PAT) for _ in range(3)]
        await asyncio.gather(*(asked.ask(PAT) for _ in range(6)))
        assert len(asked._idle) == ldap.MAX_IDLE
        running.stop()
        with pytest.raises(SourceDown, match="cannot be reached"):
            await asked.ask(PAT)
        running.start()
        told.append(await asked.ask(PAT))
        assert {one.certificates for one in told} == {(MINE.certificate,)}
        await asked.close()


async def test_a_connection_that_was_idle_too_long_is_closed(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = source(Server(HOST, directory.port, None))
    await asked.ask(PAT)
    ((_, session),) = asked._idle
    monkeypatch.setattr(ldap, "IDLE_SECONDS", -1.0)
    await asked.ask(PAT)
    assert session._writer.is_closing()
    assert session not in [kept for _, kept in asked._idle]
    await asked.close()


def test_only_the_domains_of_the_settings_are_asked_for() -> None:
    search = Search("", read_filter("(mail={address})"), frozenset({"example.org"}))
    limited = LdapDirectory("corp", Server(HOST, 1, None), search, 1.0)
    assert limited.name == "ldap:corp"
    assert limited.serves(PAT)
    assert not limited.serves(parse_mailbox("pat@sub.example.org"))
    assert source(Server(HOST, 1, None)).serves(parse_mailbox("pat@anywhere.example"))


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[Server]:
    """Run a server that says what it is told, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield Server(HOST, server.sockets[0].getsockname()[1], None)


def message(identifier: int, operation: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.integer(identifier), operation)


async def test_a_silent_server_holds_up_nothing_but_the_question(tls: TlsFiles) -> None:
    """The loop goes on and little is computed while a server says nothing, in TLS too."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    async with speaking(silent) as plain:
        context = client_context(tls.ca)
        for server in (
            plain,
            Server(HOST, plain.port, context),
            Server(HOST, plain.port, context, starttls=True),
        ):
            computed = time.process_time()
            with pytest.raises(SourceDown, match=r"no answer in 0\.3 s"):
                await source(server, timeout=0.3).ask(PAT)
            assert time.process_time() - computed < 0.2


@pytest.mark.parametrize(
    "raw",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x89" + b"\x01" * 9,
        b"\x30\x80",
        b"\x30\x05\x02\x01\x01\x65\x00",
        message(1, b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),
        b"",
    ],
)
async def test_what_is_no_answer_is_unreachable(raw: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(raw)

    async with speaking(answer) as server:
        with pytest.raises(SourceUnreachable):
            await source(server).ask(PAT)


async def test_no_message_is_larger_than_the_limit() -> None:
    async def announce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x30\x83" + (ldap.MAX_MESSAGE + 1).to_bytes(3))
        await reader.read()

    async with speaking(announce) as server:
        with pytest.raises(SourceUnreachable, match="of more than"):
            await source(server).ask(PAT)


def asked_as(raw: bytes) -> int:
    """Give the number of a request."""
    return ber.integer(ber.read(raw)[0].children()[0])


ENTRY = der.element(0x64, b"\x04\x00", der.element(der.SEQUENCE))


@pytest.mark.parametrize("operation", [ENTRY, b"\x73\x00"])
async def test_endless_entries_and_references_end(operation: bytes) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        identifier = asked_as(await reader.read(1000))
        while True:
            writer.write(message(identifier, operation) * 100)
            await writer.drain()

    async with speaking(pour) as server:
        with pytest.raises(SourceUnreachable, match="what was not asked"):
            await source(server).ask(PAT)


async def test_octets_slipped_in_before_tls_answer_nothing(tls: TlsFiles) -> None:
    """RFC 4513 6: what came in clear text must not count inside TLS."""
    context = tls.server()
    forged = b"".join(message(n, b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00") for n in (1, 2, 3, 4))

    async def slip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        identifier = asked_as(await reader.read(1000))
        near = b"".join(
            message(identifier + n, b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00") for n in (1, 2)
        )
        accepted = b"\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
        writer.write(message(identifier, accepted) + near + forged)
        await writer.start_tls(context)
        await reader.read()

    async with speaking(slip) as server:
        secure = Server(HOST, server.port, client_context(tls.ca), starttls=True)
        with pytest.raises(SourceUnreachable):
            await source(secure, timeout=2).ask(PAT)


async def test_whether_it_can_be_asked_is_found_out_by_asking(
    directory: Directory, closed: Directory
) -> None:
    good = source(Server(HOST, directory.port, None))
    await good.check()
    await good.close()
    for wrong, reason in (
        (source(Server(HOST, directory.port, None), base="dc=nowhere"), "it has no 'dc=nowhere'"),
        (source(Server(HOST, free_port(), None)), "cannot be reached"),
        (source(Server(HOST, closed.port, None, bind_dn="cn=x", password="no")), "it refuses cn=x"),
    ):
        with pytest.raises(SourceUnreachable, match=reason):
            await wrong.check()
        await wrong.close()
