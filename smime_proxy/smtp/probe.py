"""Look whether an upstream can be used, without sending mail: connect, EHLO, TLS, AUTH, QUIT.

RFC 5321 3.1 and 3.2, RFC 3207, RFC 8314; maildir(5) for one that is a directory.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.smtp.errors import HandshakeError
from smime_proxy.smtp.handshake import handshake
from smime_proxy.smtp.relay import Relay, Timeouts

PROBE_SECONDS = 20.0  # for all; a person waits
TIMEOUTS = Timeouts(connect=10.0, greeting=10.0, command=10.0)


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of it: `fault` in one line, "" when mail could be sent.

    `certificate` is the server's, in DER, b"" without TLS.
    """

    fault: str = ""
    certificate: bytes = b""


async def probe(place: Relay | Path, hostname: str, seconds: float = PROBE_SECONDS) -> Probed:
    """Speak to a relay as `hostname`, or look whether a Maildir can be written; within `seconds`.

    Nothing is sent after EHLO, or after AUTH where there is a username. Never raises.
    """
    if isinstance(place, Path):
        return await asyncio.to_thread(_maildir, place)
    try:
        async with asyncio.timeout(seconds):
            session = await handshake(place, hostname, TIMEOUTS)
            certificate = session.peer_certificate
            session.quit()
            await asyncio.wait({session.closed})
    except HandshakeError as error:
        return Probed(str(error))
    except TimeoutError:
        return Probed("no answer in time")
    return Probed(certificate=certificate)


def _maildir(path: Path) -> Probed:
    """A Maildir is made when mail comes, so the nearest directory that is there counts."""
    nearest = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
    if not nearest.is_dir():
        return Probed(f"{nearest} is no directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Probed(f"{nearest} may not be written by the service's user")
    return Probed()
