"""Everything one gateway works with, built by the composition root and handed to each step.

No RFC: names follow the settings file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smime_proxy.address import Mailbox
from smime_proxy.certs.revocation import Revocation
from smime_proxy.gateway.aside import Aside
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.gateway.deadlines import SUBMISSION, Deadlines
from smime_proxy.gateway.late import Late
from smime_proxy.gateway.loops import Loops
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import (
    Directory,
    Discovery,
    FoundKey,
    Ledger,
    Measures,
    Memory,
    SeenCapabilities,
    Statuses,
    Upstream,
)
from smime_proxy.gateway.reports import ReportRate
from smime_proxy.gateway.wording import Wording
from smime_proxy.policy.rules import Rules


@dataclass(frozen=True, slots=True)
class Route:
    """Where the mail of one listener goes, and its reports; None: no report may be sent.

    `deadlines` follow from the patience of the listener's clients; `mode` says what is carried out
    of what is decided.
    """

    upstream: Upstream
    reports: Upstream | None = None
    deadlines: Deadlines = SUBMISSION
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Context:
    """What a gateway works with; one a process, shared by all its conversations.

    `directory` gives the snapshot of the moment; `sent_copy` the upstream for a `sent_copy` URL
    and the address it is filed for; `random(n)` n octets from the system's generator. `remember`
    takes note of capabilities and `harvest` of keys: they return at once, do no I/O and never
    raise. `slow_keys`: keys lie on a device, so that every message is worked on in a thread.
    `wording` says what people are told in reports. `revocation` are the answers at hand and what
    they mean; None: nothing is asked. `statuses` lets mail wait for those that are not; None: none
    waits. `memory` knows what was decrypted here; None: nothing is marked or found again. `ledger`
    knows who has what from attempts before; None: nobody does. `late` is what goes on behind
    clients that were answered. `max_parallel_copies` of one message go at once. `loops` knows mail
    that was here before; None: only Received fields are counted. `aside` computes what mail does
    not wait for.
    """

    hostname: str
    authserv_id: str
    rules: Rules
    routes: Mapping[str, Route]
    directory: Callable[[], Directory]
    sent_copy: Callable[[str, Mailbox], Upstream]
    measures: Measures
    random: Callable[[int], bytes]
    remember: Callable[[SeenCapabilities], None] = lambda _seen: None
    harvest: Callable[[FoundKey], None] = lambda _found: None
    discovery: Discovery | None = None
    choices: RecipientChoices = field(default_factory=RecipientChoices)
    rate: ReportRate = field(default_factory=ReportRate)
    slow_keys: bool = False
    revocation: Revocation | None = None
    statuses: Statuses | None = None
    wording: Wording = field(default_factory=Wording)
    memory: Memory | None = None
    ledger: Ledger | None = None
    late: Late = field(default_factory=Late)
    max_parallel_copies: int = 8
    loops: Loops | None = None
    aside: Aside = field(default_factory=Aside)
