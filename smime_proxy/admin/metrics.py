"""Counters and gauges of the service: closed lists of names, cheap to keep, shown for Prometheus.

Prometheus text exposition format 0.0.4. docs/metrics.md shows the same rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "smime_proxy_"
MAX_SERIES = 400  # of one process; some hundred are possible, and a report must hold all of them
MAX_LABEL = 60  # characters of a value; ours are words
OTHER = "other"  # stands for a value that must not be shown, and for what is beyond the limit
MARK = "\t"  # between the name and the label values of a counter or gauge


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a counter counts, and the labels every count of it carries."""

    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is measured; `across` makes one value of those of all processes.

    `is_moment`: measured is when something ends, in seconds since the epoch, and shown is how long
    that is from now.
    """

    help: str
    labels: tuple[str, ...] = ()
    across: Callable[[Sequence[float]], float] = max
    is_moment: bool = False


COUNTERS: Mapping[str, Meaning] = MappingProxyType(
    {
        "after_decryption": Meaning(
            "Outbound messages that answer or carry mail decrypted here, and were handed on.",
            ("mode",),
        ),
        "deliveries": Meaning(
            "Messages handed on, one for each group of recipients with the same content.",
            ("treatment", "outcome", "mode"),
        ),
        "dkim_removed": Meaning(
            "Outbound messages that lost a DKIM signature of our own.", ("mode",)
        ),
        "dup_possible": Meaning(
            "Copies that may have been sent although no reply says so; a retry may double them."
        ),
        "exemptions": Meaning(
            "Deliveries exempt from what policy asks, by kind.", ("kind", "mode")
        ),
        "internal_errors": Meaning("Transactions answered 451 4.3.0; the log has the reason."),
        "key_files": Meaning(
            "Changes of files of declared accounts and anchors, by what came of them.", ("outcome",)
        ),
        "keys_found": Meaning(
            "Keys found in signed mail and not known before, by what became of them.", ("outcome",)
        ),
        "ledger_failures": Meaning(
            "Entries of the ledger that could not be read or written.", ("operation",)
        ),
        "lookups": Meaning(
            "Questions to directories for certificates, by what came of them.",
            ("source", "outcome"),
        ),
        "logins": Meaning("AUTH attempts, by what came of them.", ("listener", "outcome")),
        "messages": Meaning(
            "Messages received to the final dot, by class of the reply.", ("listener", "reply")
        ),
        "partly_sent": Meaning("Messages of which some recipients were sent theirs, not all."),
        "put_off": Meaning(
            "MAIL commands answered 451 because the process was late.", ("listener",)
        ),
        "refused": Meaning("Messages refused before anything left, by rule.", ("rule", "mode")),
        "reloads": Meaning("Settings read again at SIGHUP, by what came of it.", ("outcome",)),
        "reported": Meaning(
            "Recipients refused to the sender by a delivery status notification.", ("mode",)
        ),
        "revocation_fetches": Meaning(
            "OCSP answers and revocation lists fetched, kept or not.", ("kind", "outcome")
        ),
        "revocation_waits": Meaning(
            "Mail that waited for answers about revocation, in vain or not.", ("outcome",)
        ),
        "sent_copies": Meaning("Unencrypted copies filed for the sender.", ("outcome",)),
        "session_errors": Meaning("Commands answered 451 4.3.0 by the server.", ("listener",)),
        "sessions": Meaning("Sessions accepted.", ("listener",)),
        "sessions_refused": Meaning(
            "Sessions answered 421: shutdown, full, late, or too many of one address or login.",
            ("listener", "reason"),
        ),
        "sessions_timed_out": Meaning(
            "Sessions closed because the client was silent or slow.", ("listener",)
        ),
        "softened": Meaning(
            "Replies of 5yz that clients were given as 4yz, by cause.", ("listener", "cause")
        ),
        "temporary_replies": Meaning(
            "Replies of 4yz that clients were given, by cause.", ("listener", "cause")
        ),
        "undecided": Meaning(
            "Messages relayed unchanged of which nobody knows what would have become.", ("reason",)
        ),
        "verdicts": Meaning(
            "Messages with S/MIME handed on inwards, by what was found.",
            ("signature", "encryption", "mode"),
        ),
    }
)

GAUGES: Mapping[str, Gauge] = MappingProxyType(
    {
        "build_info": Gauge("The version that runs, as a label.", ("version",)),
        "certificate_expiry_seconds": Gauge(
            "Seconds until what is in use ends, each by itself, of a hundred that end first.",
            ("use", "certificate"),
            min,
            is_moment=True,
        ),
        "expiry_seconds": Gauge(
            "Seconds until the first key, encryption certificate or anchor in use ends.",
            ("use",),
            min,
            is_moment=True,
        ),
        "key_files_broken": Gauge(
            "Declared accounts whose files cannot be used, and one for the anchors."
        ),
        "keys_pending": Gauge("Keys found in signed mail that wait for a decision."),
        "message_octets_held": Gauge("Octets of messages held at this moment.", across=sum),
        "mode": Gauge(
            "1 for the mode of each listener: enforce, soft or observe.", ("listener", "mode")
        ),
        "ready": Gauge("1 when mail can be taken."),
        "sessions_open": Gauge("Sessions open at this moment.", ("listener",), sum),
        "snapshot_age_seconds": Gauge(
            "Seconds since the store was last read, or seen to be unchanged."
        ),
        "tasks": Gauge(
            "Tasks of asyncio, for each process that takes mail; a steady rise is a leak.",
            ("worker",),
        ),
        "upstream_reachable": Gauge(
            "1 when the last attempt to get a session with the upstream succeeded.",
            ("upstream",),
            min,
        ),
    }
)


class Counters:
    """The counters of one process; implements `gateway.ports.Measures`.

    Full names are text, so that those of several processes can be sent and added up.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self._counts: Counter[str] = Counter()

    def count(self, name: str, **labels: str) -> None:
        """Add one; raises KeyError for a name or label that is not in the list, a fault of ours.

        However a value came about, none shows an address, and there is an end to their number.
        """
        names = COUNTERS[name].labels
        if len(labels) != len(names):
            raise KeyError(name, *labels)
        full = MARK.join((name, *(_shown(labels[label]) for label in names)))
        if full not in self._counts and len(self._counts) >= MAX_SERIES:
            full = MARK.join((name, *(OTHER for _ in names)))
        self._counts[full] += 1

    def counts(self) -> Mapping[str, int]:
        """Give all counts so far under their full names."""
        return self._counts


def _shown(value: str) -> str:
    return OTHER if "@" in value or MARK in value or len(value) > MAX_LABEL else value


def full_name(name: str, *values: str) -> str:
    """Name a gauge with the values of its labels, as processes report it."""
    return MARK.join((name, *values))


def render(
    counts: Mapping[str, int],
    measured: Sequence[Mapping[str, float]],
    *,
    ready: bool,
    version: str,
    at: float,
) -> bytes:
    """Show counts, what each process measured, readiness and version in the text format.

    `at` is now, in seconds since the epoch.
    """
    own = {"ready": float(ready), full_name("build_info", version): 1.0}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(counts, [*measured, own], at))
    return generate_latest(registry)


def _labelled(gauges: Mapping[str, float], name: str) -> dict[str, float]:
    """Give the gauges of one name by their label."""
    split = ((full.partition(MARK), value) for full, value in gauges.items())
    return {label: value for (found, _, label), value in split if found == name}


def _gauge(name: str, told: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, told, labels=[label])
    for of_what, value in sorted(values.items()):
        family.add_metric([of_what], value)
    return family


class _Shown(Collector):
    """What `render` was given, as prometheus_client asks for it."""

    def __init__(
        self, counts: Mapping[str, int], measured: Sequence[Mapping[str, float]], at: float
    ) -> None:
        self._counts = counts
        self._measured = measured
        self._at = at

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Metric]:
        gathered: dict[str, list[float]] = {}
        for process in self._measured:
            for full, value in process.items():
                gathered.setdefault(full, []).append(value)
        families = {
            name: GaugeMetricFamily(PREFIX + name, gauge.help, labels=gauge.labels)
            for name, gauge in GAUGES.items()
        }
        for full, values in sorted(gathered.items()):
            name, *labels = full.split(MARK)
            gauge = GAUGES[name]
            value = gauge.across(values) - (self._at if gauge.is_moment else 0)
            families[name].add_metric(labels, value)
        yield from families.values()

    def _counters(self) -> Iterator[Metric]:
        families = {
            name: CounterMetricFamily(PREFIX + name, meaning.help, labels=meaning.labels)
            for name, meaning in COUNTERS.items()
        }
        for full, number in self._counts.items():
            name, *values = full.split(MARK)
            families[name].add_metric(values, number)
        for name, meaning in COUNTERS.items():
            if not meaning.labels and name not in self._counts:
                families[name].add_metric([], 0)
        yield from families.values()
