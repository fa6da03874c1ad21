"""What can go wrong in this package, and the replies for an upstream that cannot be used.

RFC 5321 4.2.2 (451), RFC 3463 3.5 (X.4.1 no answer from host, X.4.2 bad connection).
"""

from smime_proxy.gateway.ports import Unconfirmed, UpstreamError
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply


class SmtpError(Exception):
    """Base error of this package: something is set up wrongly or was misused."""


class TlsSetupError(SmtpError):
    """A certificate, key or CA file cannot be used; the text is one line for an administrator."""


class HandshakeError(SmtpError):
    """No session can be had with an upstream; the text says why, in one printable line."""


class LoginError(HandshakeError):
    """The upstream refused the login; `reply` is its verdict, whose text may repeat the secret."""

    def __init__(self, reply: Reply) -> None:
        """Keep the verdict; the error's own text has only its code."""
        super().__init__(f"login refused: {reply.code}")
        self.reply = reply


class TokenError(HandshakeError):
    """No access token is to be had, so nobody was logged in; the text has no secret."""


class ContentError(SmtpError):
    """The content has a bare CR or LF, which is never put on the wire (RFC 5321 2.3.8)."""


class ReplySyntaxError(SmtpError):
    """What the peer sent is no SMTP reply within our limits (RFC 5321 4.2)."""


def unreachable(detail: str = "") -> UpstreamError:
    """Give the error for an upstream no session can be had with: 451 4.4.1."""
    return UpstreamError(reply_for("upstream_unreachable", detail))


def no_token() -> UpstreamError:
    """Give the error for an upstream we have no access token for: 451 4.7.0."""
    return UpstreamError(reply_for("no_access_token"))


def connection_lost() -> UpstreamError:
    """Give the error for a session lost before the final dot: 451 4.4.2."""
    return UpstreamError(reply_for("upstream_lost", "Nothing was sent"))


def may_be_sent() -> Unconfirmed:
    """Give the error for a session lost after the final dot: 451 4.4.2, it may have been sent."""
    return Unconfirmed(reply_for("upstream_lost", "The message may have been sent"))
