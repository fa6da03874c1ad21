"""What somebody's mail program can read, as it says itself: sMIMECapabilities, both directions.

RFC 8551 2.5.2, RFC 4262 (in a certificate). Nobody has to believe it: it may raise what policy
asks for, never lower it.
"""

from dataclasses import dataclass

from smime_proxy.cms import ber, der
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms

MAX_CAPABILITIES = 64  # Outlook writes 11, Thunderbird 7; kept for each correspondent
MAX_OCTETS = 4096  # of all of them; seen up to 250


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Dotted name and encoded parameters (`b""`: absent) of each, the preferred first."""

    identifiers: tuple[tuple[str, bytes], ...]


def parse_capabilities(raw: Octets) -> Capabilities:
    """Capabilities from a SMIMECapabilities sequence; unknown ones are kept.

    Raises MalformedCms, also past the limits.
    """
    if len(raw) > MAX_OCTETS:
        raise MalformedCms("too many capabilities")
    entries = ber.read_only(raw).expect(der.SEQUENCE).children()
    if len(entries) > MAX_CAPABILITIES:
        raise MalformedCms("too many capabilities")
    return Capabilities(tuple(dict.fromkeys(read_algorithm(entry) for entry in entries)))


def encode_capabilities(capabilities: Capabilities) -> bytes:
    """SMIMECapabilities as DER."""
    return der.element(
        der.SEQUENCE,
        *(
            der.element(der.SEQUENCE, der.object_identifier(oid), parameters)
            for oid, parameters in capabilities.identifiers
        ),
    )
