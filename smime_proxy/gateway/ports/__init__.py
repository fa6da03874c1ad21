"""What the gateway needs from the world, as Protocols the shells implement, a file a concern.

RFC 5321 3.3 (mail transactions); each file names its own.
"""

from smime_proxy.gateway.ports.directory import Directory, KeyUnavailable
from smime_proxy.gateway.ports.discovery import Answer, Answers, Discovery, Findings, Silence
from smime_proxy.gateway.ports.learned import FoundKey, SeenCapabilities
from smime_proxy.gateway.ports.ledger import NOTHING_KNOWN, Known, Ledger, LedgerError
from smime_proxy.gateway.ports.measures import Measures
from smime_proxy.gateway.ports.memory import Memory, MemoryUnreadable
from smime_proxy.gateway.ports.statuses import Claim, Statuses
from smime_proxy.gateway.ports.upstream import (
    Extensions,
    Transaction,
    Unconfirmed,
    Upstream,
    UpstreamError,
)

__all__ = [
    "NOTHING_KNOWN",
    "Answer",
    "Answers",
    "Claim",
    "Directory",
    "Discovery",
    "Extensions",
    "Findings",
    "FoundKey",
    "KeyUnavailable",
    "Known",
    "Ledger",
    "LedgerError",
    "Measures",
    "Memory",
    "MemoryUnreadable",
    "SeenCapabilities",
    "Silence",
    "Statuses",
    "Transaction",
    "Unconfirmed",
    "Upstream",
    "UpstreamError",
]
