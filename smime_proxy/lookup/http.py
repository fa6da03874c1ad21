"""Fetches small things from URLs that strangers chose, and from no address that is not public.

RFC 9110 (HTTP). The address that was checked is the one connected to, so that a name cannot point
elsewhere between both; redirects are not followed, nothing is unpacked, no proxy, no cookie.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from smime_proxy.certs.errors import one_line
from smime_proxy.lookup.errors import LookupFailed

MAX_URL = 2048  # characters; distribution points have about 100
CHUNK = 65_536  # octets read at a time
RESOLVING = (
    16  # names at once, more than are fetched; who waits for a free one has its time to wait
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 2.1
# RFC 4291 2.4: all that is public was ever taken out of this. Outside lie site-local addresses
# (fec0::/10) and IPv4 written in old ways (::a.b.c.d), which `ipaddress` takes for public.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")


class Forbidden(LookupFailed):
    """The address is none that may be asked."""


class AddressRule:
    """Which addresses may be connected to: public ones, and those of networks that are listed."""

    def __init__(self, allowed: Sequence[Network] = (), *, allow_private: bool = False) -> None:
        """Keep the exceptions; `allow_private` lets every address be asked."""
        self._allowed = tuple(allowed)
        self._private = allow_private

    def permits(self, text: str) -> bool:
        """Tell whether an address may be asked; one inside another form counts as itself."""
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if self._private or any(address in network for network in self._allowed):
            return True
        return all(_is_public(one) for one in _meant(address))


def _meant(address: Address) -> tuple[Address, ...]:
    """Give an address and those that are written into it: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inside: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        inside += address.teredo
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in inside if one is not None]
    return tuple(found) if address.ipv4_mapped else (address, *found)


def _is_public(address: Address) -> bool:
    if address.version == 6 and not (address in _PUBLIC_V6 or address in _NAT64):  # noqa: PLR2004 - IP's
        return False
    return address.is_global and not address.is_multicast


class _Resolver(AbstractResolver):
    """Resolves by the system and gives only addresses that may be asked.

    In threads of its own: a name server that is silent on purpose holds one for as long as the
    system likes, whoever stopped to wait; mail shall not queue behind it.
    """

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule
        self._threads = ThreadPoolExecutor(RESOLVING, thread_name_prefix="resolving")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolve, host, port, family)
        permitted = [one for one in found if self._rule.permits(one["host"])]
        if not permitted:
            raise Forbidden(f"{host} has no address that may be asked")
        return permitted

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Ask the system for the addresses of a host; blocks. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=its_family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for its_family, _, proto, _, address in found
    ]


class Http:
    """A client for one event loop; `close` it at the end."""

    def __init__(self, rule: AddressRule, *, tls: ssl.SSLContext | None = None) -> None:
        """Prepare; no connection is made before the first fetch, and none is kept.

        `tls` verifies servers in place of the system's authorities.
        """
        self._rule = rule
        self._tls = tls
        self._resolver = _Resolver(rule)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        url: str,
        *,
        limit: int,
        seconds: float,
        send: bytes = b"",
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """GET a URL, or POST `send` as content of a media type; gives the octets of a 200.

        `limit` is in octets, `seconds` for all of it. Raises `Forbidden` for other schemes than
        http and https and for addresses that may not be asked, `LookupFailed` for all else.
        """
        self._check(url)
        session = self._open()
        method = "POST" if send else "GET"
        fields = {"Content-Type": kind} if send else {}
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with session.request(
                method,
                url,
                data=send or None,
                headers={**fields, **(headers or {})},
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004 - RFC 9110 15.3.1
                    raise LookupFailed(f"{answer.status} in answer")
                return await _read(answer, limit)
        except Forbidden:
            raise
        except TimeoutError:
            raise LookupFailed(f"no answer within {seconds:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, Forbidden):
                raise error.__cause__ from None
            raise LookupFailed(one_line(error)) from None

    async def close(self) -> None:
        """Let go of everything."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _check(self, url: str) -> None:
        # The resolver is not asked for addresses that stand in the URL.
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            raise Forbidden("it is no URL") from None
        if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or not host:
            raise Forbidden("it is no URL")
        if parts.scheme not in {"http", "https"}:
            raise Forbidden(f"{parts.scheme}: is not fetched")
        if parts.username is not None or parts.password is not None:
            raise Forbidden("a URL with a user in it")
        if _is_literal(host) and not self._rule.permits(host):
            raise Forbidden(f"{host} may not be asked")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,
                force_close=True,
                limit=8,
                ssl=self._tls or True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_line_size=8190,
                max_field_size=8190,
                headers={"User-Agent": "smime-proxy", "Accept-Encoding": "identity"},
            )
        return self._session


def _is_literal(host: str) -> bool:
    """Tell whether a host is an address in any form that some resolver takes for one.

    `inet_aton` knows decimal, octal and hexadecimal forms, shortened too.
    """
    # With a dot behind it, it is no address for `inet_aton`, but one for the connector.
    if ":" in host or host.replace(".", "").isdigit():
        return True
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    if (answer.content_length or 0) > limit:
        raise LookupFailed(f"more than {limit} octets")
    found = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK):
        found += chunk
        if len(found) > limit:
            raise LookupFailed(f"more than {limit} octets")
    return bytes(found)
