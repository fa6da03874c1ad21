"""Where an upstream is and how to speak to it, checked when it is built.

RFC 3207 (STARTTLS), RFC 8314 3.3 (implicit TLS), RFC 4954 (AUTH), RFC 5321 4.5.3.2 (timeouts),
RFC 2033 (LMTP).
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from smime_proxy.smtp.access_token import AccessTokens
from smime_proxy.smtp.errors import SmtpError

ClientInfo: TypeAlias = Literal["none", "xforward", "xclient", "proxy"]


@dataclass(frozen=True, slots=True)
class Relay:
    """One upstream; with `tls` "required" the certificate and the host name are verified.

    `scheme` "smtps" is TLS from the first octet, "smtp" and "lmtp" mean STARTTLS where TLS is
    required. With `socket` LMTP is spoken over that UNIX socket, where there is never TLS.
    `tls_context` is what `client_context` builds. A `username` is used only with TLS: without,
    building a Relay raises `SmtpError`, on loopback too. It logs in with `password`, or with a
    token of `tokens`. `client_info` is how it is told whose mail it gets; not "proxy" over a UNIX
    socket.
    """

    host: str
    port: int
    scheme: Literal["smtp", "smtps", "lmtp"] = "smtp"
    tls: Literal["never", "required"] = "required"
    tls_context: ssl.SSLContext | None = field(default=None, compare=False)
    username: str = ""
    password: str = field(default="", repr=False)
    tokens: AccessTokens | None = field(default=None, repr=False, compare=False)
    socket: Path | None = None
    client_info: ClientInfo = "none"

    def __post_init__(self) -> None:
        if self.tls == "never" and self.scheme == "smtps":
            raise SmtpError(f"{self}: smtps always uses TLS, tls cannot be never")
        if self.tls == "never" and self.username:
            raise SmtpError(f"{self}: a password is only sent over TLS, tls must be required")
        if self.socket is not None and (self.scheme != "lmtp" or self.tls != "never"):
            raise SmtpError(f"{self}: a UNIX socket is for LMTP without TLS")
        if self.socket is not None and self.client_info == "proxy":
            raise SmtpError(f"{self}: a UNIX socket has no addresses for a PROXY header")
        if self.tls == "required" and not _verifies(self.tls_context):
            raise SmtpError(f"{self}: TLS needs a context that verifies certificate and host name")

    @property
    def is_shared(self) -> bool:
        """Tell whether one connection may carry the mail of several clients."""
        return self.client_info in {"none", "xforward"}

    def __str__(self) -> str:
        if self.socket is not None:
            return f"{self.scheme}://{self.socket}"
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for the upstream, each for one step (RFC 5321 4.5.3.2)."""

    connect: float = 30.0  # TCP, all addresses together; Postfix smtp_connect_timeout
    greeting: float = 300.0
    command: float = 300.0  # EHLO, STARTTLS with its handshake, AUTH, RSET
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0  # until the upstream takes the next piece of the content
    dot: float = 600.0


DEFAULT_TIMEOUTS = Timeouts()


def _verifies(context: ssl.SSLContext | None) -> bool:
    return (
        context is not None and context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    )
