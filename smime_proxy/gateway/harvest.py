"""What one message brings of its sender: a key, judged against what is known, and what he reads.

E06, A13. The snapshot decides what the recipient is told; the store decides again when it is
written. RFC 5322 3.6.4 (Message-ID), RFC 8551 2.5.2 (capabilities).
"""

from dataclasses import dataclass, field
from datetime import datetime

from smime_proxy.certs.pool import Pool
from smime_proxy.certs.succession import succession
from smime_proxy.gateway.gather import own_account
from smime_proxy.gateway.ports import Directory, FoundKey, SeenCapabilities
from smime_proxy.message.header import HeaderBlock
from smime_proxy.policy.harvest import Accept, Caution, Pend, decide_key, is_full
from smime_proxy.policy.rules import Harvest
from smime_proxy.smime.harvest import OfferedKey, offered_key
from smime_proxy.smime.report import PASSED, Report
from smime_proxy.smime.verify import Trust

MAX_MESSAGE_ID = 200  # characters; RFC 5322 2.1.1 allows a line of 998, seen up to 130


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the key of one message; `header` is the outer one, for the Message-ID."""

    harvest: Harvest
    directory: Directory = field(repr=False)
    trust: Trust = field(repr=False)
    header: HeaderBlock = field(repr=False)
    at: datetime

    def find(self, report: Report) -> FoundKey | None:
        """Give the key that is taken or waits, None when there is none; pure, raises nothing."""
        signer = report.signer
        if self.harvest is Harvest.NEVER or signer is None or signer.mailbox is None:
            return None
        if own_account(self.directory, signer.mailbox) is not None:
            return None  # the keys of our own accounts are here already
        offered = offered_key(report, self.trust, self.at)
        return None if offered is None else self._judged(offered)

    def _judged(self, offered: OfferedKey) -> FoundKey | None:
        mailbox, certificate = offered.mailbox, offered.certificate
        known = (
            *self.directory.partner_certificates(mailbox),
            *self.directory.domain_certificates(mailbox.domain),
        )
        if any(one.certificate == certificate for one in known):
            return None
        if self.directory.is_declined(mailbox, certificate):
            return None
        pool = Pool.of(offered.issuers, self.trust.intermediates)
        stands = succession(known, offered.anchor, mailbox, self.at, self.trust.anchors, pool)
        trusted = offered.anchor is not None
        caution: Caution | None = None
        full = is_full(known, self.at)
        match decide_key(self.harvest, trusted=trusted, stands=stands, full=full):
            case Pend(found):
                caution = found
            case Accept():
                pass
            case None:
                return None
        return FoundKey(
            mailbox,
            certificate,
            offered.issuers,
            offered.anchor.fingerprint if offered.anchor else "",
            _message_id(self.header),
            self.at,
            caution,
        )


def _message_id(header: HeaderBlock) -> str:
    """Give the Message-ID as it may be shown: printable ASCII, bounded, the first if several."""
    value = (header.first("message-id") or "")[: 4 * MAX_MESSAGE_ID]
    return "".join(char for char in value if "!" <= char <= "~")[:MAX_MESSAGE_ID]


def seen_capabilities(report: Report, received_at: datetime) -> SeenCapabilities | None:
    """Give what a sender whose signature passes says that he can read; else nobody said it.

    It counts from when it was signed, and never from a time to come.
    """
    signer = report.signer
    if report.signature != PASSED or signer is None or signer.mailbox is None:
        return None
    if signer.via_gateway:
        return None  # it is the gateway that reads so
    if signer.report.capabilities is None:
        return None
    at = min(signer.report.signing_time or received_at, received_at)
    return SeenCapabilities(signer.mailbox, signer.report.capabilities, at)
