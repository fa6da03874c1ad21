"""XCLIENT: a peer that is believed speaks for another client from now on.

Postfix XCLIENT_README. Attributes that a command does not name keep what the one before said, but
for HELO, PROTO and LOGIN, which hold for one command only, as with Postfix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from smime_proxy.gateway.ports import Upstream
from smime_proxy.smtp.attributes import (
    AttributesError,
    harmless,
    is_unavailable,
    read_address,
    read_attributes,
    read_host,
    read_port,
)
from smime_proxy.smtp.auth import Authentication, Authenticator
from smime_proxy.smtp.proxy_protocol import Ends
from smime_proxy.smtp.throttle import Throttle

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
OFFER = " ".join(("XCLIENT", *ATTRIBUTES))
_PROTOCOLS = frozenset({"SMTP", "ESMTP"})


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client is said to be; "" stands for what is not said or not known."""

    ends: Ends
    name: str = ""
    protocol: str = ""
    helo: str = ""
    login: str = ""


def read_xclient(argument: bytes, before: Claim, *, lmtp: bool = False) -> Claim:
    """Read the argument of XCLIENT on top of what held `before`; raises `AttributesError`.

    A name and a port belong to an address: a new address has none until they are said. `lmtp`:
    the protocol may be LMTP, as Dovecot says.
    """
    said = read_attributes(argument, ATTRIBUTES)
    ends, name = before.ends, before.name
    if "ADDR" in said:
        ends, name = replace(ends, address=read_address(said["ADDR"]), port=0), ""
    if "PORT" in said:
        ends = replace(ends, port=read_port(said["PORT"]))
    if "DESTADDR" in said:
        ends = replace(ends, local_address=read_address(said["DESTADDR"]))
    if "DESTPORT" in said:
        ends = replace(ends, local_port=read_port(said["DESTPORT"]))
    if "NAME" in said:
        name = read_host(said["NAME"])
    protocol = said.get("PROTO", "").upper()
    if protocol and protocol not in (_PROTOCOLS | {"LMTP"} if lmtp else _PROTOCOLS):
        raise AttributesError("PROTO is SMTP or ESMTP")
    return Claim(ends, name, protocol, harmless(said.get("HELO", "")), _login(said))


def _login(said: Mapping[str, str]) -> str:
    login = said.get("LOGIN", "")
    if not login or is_unavailable(login):
        return ""
    if not login.isprintable() or "\ufffd" in login:
        raise AttributesError("The value of LOGIN holds what no login does")
    return login


class AnnouncedLogin:
    """An identity that a peer vouches for; no secret came with it."""

    upstream: Upstream | None = None

    def __init__(self, login: str) -> None:
        """Keep the name."""
        self.login = login

    async def close(self) -> None:
        """There is nothing to forget."""


class AnnouncedAuthentication(Authentication):
    """The authentication of a session whose client was announced, as nobody without a login."""

    def __init__(
        self, peer: str, throttle: Throttle, count: Callable[[str], None], login: str
    ) -> None:
        """Begin as who was announced."""
        super().__init__(peer, throttle, count)
        if login:
            self._identity = AnnouncedLogin(login)

    async def review(self, authenticator: Authenticator | None, certified: str | None) -> None:
        """Keep who was announced: nobody here has judged that."""
        if not isinstance(self._identity, AnnouncedLogin):
            await super().review(authenticator, certified)
