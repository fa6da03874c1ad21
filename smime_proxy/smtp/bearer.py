"""Log in at an upstream with an access token instead of a password.

RFC 7628 (OAUTHBEARER), Google's and Microsoft's XOAUTH2, RFC 4954 4, RFC 5801 4 (the name).
"""

from base64 import b64encode

import aiosmtplib

from smime_proxy.smtp.relay import Relay

MAX_INITIAL_OCTETS = 510  # of a command line without its end, RFC 5321 4.5.3.1.4, RFC 4954 4
AUTH_CONTINUE = 334
AUTH_SUCCEEDED = 235
_BEARER_FAILED = b64encode(b"\x01")  # RFC 7628 3.2.3


async def show_token(
    client: aiosmtplib.SMTP,
    relay: Relay,
    token: str,
    timeout: float,  # noqa: ASYNC109 - aiosmtplib has timers of its own
) -> None:
    """Show a token by the mechanism the upstream offers, OAUTHBEARER before XOAUTH2.

    Raises `SMTPAuthenticationError` with the refusal, another `SMTPException` when neither is
    offered. What the upstream says before it refuses is not read: it may repeat the token.
    """
    offered = client.server_auth_methods
    if "oauthbearer" in offered:
        mechanism, failed = b"OAUTHBEARER", _BEARER_FAILED
        message = oauthbearer(relay.username, token, relay.host, relay.port)
    elif "xoauth2" in offered:
        mechanism, failed, message = b"XOAUTH2", b"", xoauth2(relay.username, token)
    else:
        raise aiosmtplib.SMTPException("the upstream offers neither AUTH OAUTHBEARER nor XOAUTH2")
    encoded = b64encode(message)
    if len(b"AUTH " + mechanism + b" " + encoded) <= MAX_INITIAL_OCTETS:
        reply = await client.execute_command(b"AUTH", mechanism, encoded, timeout=timeout)
    else:
        reply = await client.execute_command(b"AUTH", mechanism, timeout=timeout)
        if reply.code == AUTH_CONTINUE:
            reply = await client.execute_command(encoded, timeout=timeout)
    if reply.code == AUTH_CONTINUE:
        reply = await client.execute_command(failed, timeout=timeout)
    if reply.code != AUTH_SUCCEEDED:
        raise aiosmtplib.SMTPAuthenticationError(reply.code, reply.message)


def oauthbearer(username: str, token: str, host: str, port: int) -> bytes:
    """Give the client's message of OAUTHBEARER (RFC 7628 3.1)."""
    name = username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 4
    pairs = (f"host={host}", f"port={port}", f"auth=Bearer {token}")
    return f"n,a={name},\x01{chr(1).join(pairs)}\x01\x01".encode()


def xoauth2(username: str, token: str) -> bytes:
    """Give the client's message of XOAUTH2."""
    return f"user={username}\x01auth=Bearer {token}\x01\x01".encode()
