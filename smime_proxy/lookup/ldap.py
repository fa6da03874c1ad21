"""Asks an LDAP directory for the certificates of a mailbox, over connections that are kept a while.

RFC 4511, RFC 4513 3 (TLS) and 5.1 (simple bind), RFC 4523 2.1 (userCertificate), RFC 2798 2.8
(userSMIMECertificate). Referrals are not followed: what they name is nobody's choice here.
"""

import asyncio
import contextlib
import secrets
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.signed_data import parse_signed_data
from smime_proxy.lookup import ldap_messages
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.ldap_filter import Filter
from smime_proxy.lookup.ldap_messages import Limits, Response
from smime_proxy.lookup.source import SourceDown, SourceUnreachable, Told

ATTRIBUTES = ("userCertificate;binary", "userCertificate", "userSMIMECertificate")
MAX_ENTRIES = 8  # that have one mail address; one is usual
MAX_VALUES = 24  # certificates and PKCS #7 objects of all entries; people renew once a year
MAX_PKCS7 = 256 * 1024  # octets of one userSMIMECertificate, chain included
MAX_MESSAGE = 2 * 1024**2  # octets of one LDAP message: an entry with all its values
MAX_IDLE = 4  # connections kept for the next question
IDLE_SECONDS = 60.0  # servers close idle sessions after minutes; firewalls forget them silently

_LONG_LENGTH = 0x80  # first length octet that counts length octets, X.690 8.1.3.5
_MAX_LENGTH_OCTETS = 4
_MAX_IDENTIFIER = 2**30  # of the first message; RFC 4511 4.1.1 ends at 2^31 - 1


@dataclass(frozen=True, slots=True)
class Server:
    """Where a directory is and how it is spoken to; `starttls` on a connection without TLS.

    `password` goes with `bind_dn`; without one the session is anonymous.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    starttls: bool = False
    bind_dn: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: `base`, and for whom; without `domains` for everybody."""

    base: str
    filter: Filter
    domains: frozenset[str] = frozenset()


_NOBODY = parse_mailbox("nobody@smime-proxy.invalid")  # RFC 6761 6.4


class LdapDirectory:
    """One directory of the settings; made anywhere, used in one event loop."""

    def __init__(self, name: str, server: Server, search: Search, timeout: float) -> None:
        """Connect to nobody yet; `timeout` in seconds is for one question, connecting included."""
        self.name = f"ldap:{name}"
        self.timeout = timeout
        self._server = server
        self._search = search
        self._idle: list[tuple[float, _Session]] = []

    def serves(self, mailbox: Mailbox) -> bool:
        """Tell whether the directory is asked about this mailbox."""
        return not self._search.domains or mailbox.domain in self._search.domains

    async def ask(self, mailbox: Mailbox) -> Told:
        """Search for one mailbox; raises `SourceUnreachable`, or `SourceDown` when nobody answers.

        A kept connection that has gone stale is replaced once.
        """
        try:
            async with asyncio.timeout(self.timeout):
                return await self._ask_once_or_twice(mailbox)
        except TimeoutError:
            raise SourceDown(f"no answer in {self.timeout:g} s") from None

    async def _ask_once_or_twice(self, mailbox: Mailbox) -> Told:
        kept = self._kept()
        if kept is not None:
            with contextlib.suppress(SourceUnreachable):
                return await self._ask(kept, mailbox)
        return await self._ask(await self._connect(), mailbox)

    async def check(self) -> None:
        """Connect, bind, and search below the base for somebody who cannot be there."""
        await self.ask(_NOBODY)

    async def close(self) -> None:
        """Close the connections that are kept."""
        idle, self._idle = self._idle, []
        for _, session in idle:
            session.end()

    def _kept(self) -> "_Session | None":
        """Give a connection that was used a moment ago, and close those that were not."""
        fresh = time.monotonic() - IDLE_SECONDS
        for since, session in self._idle:
            if since < fresh:
                session.end()
        self._idle = [kept for kept in self._idle if kept[0] >= fresh]
        return self._idle.pop()[1] if self._idle else None

    async def _connect(self) -> "_Session":
        server = self._server
        at_once = None if server.starttls else server.tls
        with _unreachable():
            streams = await asyncio.open_connection(
                server.host,
                server.port,
                ssl=at_once,
                server_hostname=server.host if at_once else None,
                limit=MAX_MESSAGE,
            )
            session = _Session(*streams)
            try:
                if server.tls is not None and server.starttls:
                    await session.start_tls(server.tls, server.host)
                if server.bind_dn:
                    await session.bind(server.bind_dn, server.password)
            except BaseException:
                session.end()
                raise
        return session

    async def _ask(self, session: "_Session", mailbox: Mailbox) -> Told:
        values = {"address": mailbox.text, "local": mailbox.local, "domain": mailbox.domain}
        limits = Limits(MAX_ENTRIES, max(1, int(self.timeout)))
        encoded = self._search.filter.encode(values)
        try:
            with _unreachable():
                entries = await session.search(self._search.base, encoded, limits)
        except BaseException:
            session.end()
            raise
        if len(self._idle) < MAX_IDLE:
            self._idle.append((time.monotonic(), session))
        else:
            session.end()
        return _told(entries, mailbox)


class _Session:
    """One connection; its messages are numbered from a start nobody can guess.

    So octets that somebody slipped in before TLS began answer nothing that is asked after it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = secrets.randbelow(_MAX_IDENTIFIER) + 1

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on with TLS, the server's certificate verified (RFC 4513 3.1)."""
        self._send(ldap_messages.start_tls_request(self._next()))
        result = ldap_messages.read_result(await self._receive(ldap_messages.EXTENDED_RESPONSE))
        if result.code != ldap_messages.SUCCESS:
            raise SourceDown(f"it refuses TLS: {result.diagnostic or result.code}")
        await self._writer.start_tls(context, server_hostname=host)
        self._number = secrets.randbelow(_MAX_IDENTIFIER) + 1

    async def bind(self, name: str, password: str) -> None:
        """Say who we are (RFC 4513 5.1.3)."""
        self._send(ldap_messages.bind_request(self._next(), name, password))
        result = ldap_messages.read_result(await self._receive(ldap_messages.BIND_RESPONSE))
        if result.code != ldap_messages.SUCCESS:
            reason = result.diagnostic or f"result {result.code}"
            raise SourceDown(f"it refuses {name}: {reason}")

    async def search(
        self, base: str, encoded_filter: bytes, limits: Limits
    ) -> list[dict[str, list[bytes]]]:
        """Give the attributes of what is found, as many entries as the limits say."""
        request = ldap_messages.search_request(
            self._next(), base, encoded_filter, ATTRIBUTES, limits
        )
        self._send(request)
        entries: list[dict[str, list[bytes]]] = []
        passed_over = 0
        while True:
            response = await self._receive()
            if response.kind == ldap_messages.SEARCH_ENTRY and len(entries) < limits.entries:
                entries.append(ldap_messages.read_entry(response))
            elif response.kind == ldap_messages.SEARCH_DONE:
                break
            elif response.kind == ldap_messages.SEARCH_REFERENCE and passed_over < limits.entries:
                passed_over += 1
            else:
                raise SourceUnreachable("it answers what was not asked")
        result = ldap_messages.read_result(response)
        match result.code:
            case ldap_messages.SUCCESS | ldap_messages.SIZE_LIMIT_EXCEEDED:
                return entries
            case ldap_messages.NO_SUCH_OBJECT:
                raise SourceUnreachable(f"it has no {base!r}, or does not show it")
            case ldap_messages.REFERRAL:
                raise SourceUnreachable("it refers to another server, which is not followed")
            case code:
                reason = result.diagnostic or f"result {code}"
                raise SourceUnreachable(f"the search failed: {reason}")

    def end(self) -> None:
        """Say so and close, without waiting."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write(ldap_messages.unbind_request(self._next()))
            self._writer.close()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, message: bytes) -> None:
        self._writer.write(message)

    async def _receive(self, kind: int | None = None) -> Response:
        """Read the next message; raises `LookupFailed` when it is no answer to our last one."""
        head = await self._reader.readexactly(2)
        length = head[1]
        if length >= _LONG_LENGTH:
            octets = length - _LONG_LENGTH
            if not 0 < octets <= _MAX_LENGTH_OCTETS:
                raise LookupFailed("the answer is not LDAP")
            more = await self._reader.readexactly(octets)
            head, length = head + more, int.from_bytes(more)
        if length > MAX_MESSAGE:
            raise LookupFailed(f"an answer of more than {MAX_MESSAGE} octets")
        response = ldap_messages.read_response(head + await self._reader.readexactly(length))
        if response.identifier != self._number or kind not in (None, response.kind):
            raise LookupFailed("it answers what was not asked")
        return response


@contextlib.contextmanager
def _unreachable() -> Iterator[None]:
    """Turn what goes wrong on a connection into the one error that says so."""
    try:
        yield
    except SourceUnreachable:
        raise
    except LookupFailed as error:
        raise SourceUnreachable(str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise SourceDown(f"its certificate is not trusted: {error.verify_message}") from None
    except asyncio.IncompleteReadError:
        raise SourceDown("it closed the connection") from None
    except TimeoutError:  # an OSError too, and the business of whoever set the time
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise SourceDown(f"it cannot be reached: {reason}") from None


def _told(entries: Iterable[dict[str, list[bytes]]], mailbox: Mailbox) -> Told:
    """Read the certificates of all entries; what cannot be read is passed over."""
    values = [
        (name.partition(";")[0], value)
        for entry in entries
        for name, some in entry.items()
        for value in some
    ]
    found: dict[Certificate, None] = {}
    unreadable = 0
    for name, value in values[:MAX_VALUES]:
        try:
            found.update(dict.fromkeys(_certificates(name, value)))
        except (CertificateError, CmsError):
            unreadable += 1
    certificates = tuple(found)
    reason = "it has no certificate"
    if certificates:
        named = any(certificate.carries(mailbox) for certificate in certificates)
        reason = "" if named else f"none of its certificates carries {mailbox}"
    elif unreadable:
        reason = "its certificate cannot be read"
    return Told(certificates, reason=reason)


def _certificates(name: str, value: bytes) -> Iterator[Certificate]:
    """Read a value: one certificate, or PKCS #7 with the person's and its chain (RFC 2798 2.8)."""
    if name == "usercertificate":
        yield Certificate.from_der(value)
    elif name == "usersmimecertificate":
        if len(value) > MAX_PKCS7:
            raise MalformedCms("too large")
        for der in parse_signed_data(value).certificates:
            yield Certificate.from_der(der)
