"""What signed mail tells of its sender: what he reads, and which key is his.

RFC 8551 2.5.2 (capabilities), 2.5.3 (preferred encryption).
"""

from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.policy.harvest import Caution


@dataclass(frozen=True, slots=True)
class SeenCapabilities:
    """What somebody said in signed mail that he can read, and when; `at` is aware UTC.

    Only of mail whose signature passes in everything, and of nobody who has an account here.
    """

    mailbox: Mailbox
    capabilities: Capabilities
    at: datetime


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A certificate that signed mail offers for encryption to its sender, not imported so far.

    `issuers` lie between it and the anchor, whose fingerprint is `anchor` ("": untrusted, and none
    are given). `message_id` is the mail's, cleaned. `caution` is None where it may be taken at
    once, else it waits. `count` messages brought it.
    """

    mailbox: Mailbox
    certificate: Certificate
    issuers: tuple[Certificate, ...]
    anchor: str
    message_id: str
    at: datetime
    caution: Caution | None
    count: int = 1
