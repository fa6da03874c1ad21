"""The counters of the service: a closed list of names, counted cheaply, shown for Prometheus.

Prometheus text exposition format 0.0.4. docs/metrics.md shows the same rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "smime_proxy_"
READY_HELP = "1 when mail can be taken."
BUILD_HELP = "The version that runs, as a label."
EXPIRY_HELP = "Seconds until the first key, encryption certificate or anchor in use ends."
_MARK = "\t"  # between the name and the label values of a counter


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a counter counts, and the labels every count of it carries."""

    help: str
    labels: tuple[str, ...] = ()


COUNTERS: Mapping[str, Meaning] = MappingProxyType(
    {
        "after_decryption": Meaning(
            "Outbound messages that answer or carry mail decrypted here, and were handed on."
        ),
        "deliveries": Meaning(
            "Messages handed on, one for each group of recipients with the same content.",
            ("treatment", "outcome"),
        ),
        "dkim_removed": Meaning("Outbound messages that lost a DKIM signature of our own."),
        "dup_possible": Meaning(
            "Copies that may have been sent although no reply says so; a retry may double them."
        ),
        "exemptions": Meaning("Deliveries exempt from what policy asks, by kind.", ("kind",)),
        "internal_errors": Meaning("Transactions answered 451 4.3.0; the log has the reason."),
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
        "refused": Meaning("Messages refused before anything left, by rule.", ("rule",)),
        "reloads": Meaning("Settings read again at SIGHUP, by what came of it.", ("outcome",)),
        "reported": Meaning("Recipients refused to the sender by a delivery status notification."),
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
            "Connections answered 421: shutdown, full, or too many from one address.",
            ("listener", "reason"),
        ),
        "sessions_timed_out": Meaning(
            "Sessions closed because the client fell silent.", ("listener",)
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
        """Add one; raises KeyError for a name or label that is not in the list, a fault of ours."""
        names = COUNTERS[name].labels
        if len(labels) != len(names):
            raise KeyError(name, *labels)
        self._counts[_MARK.join((name, *(labels[label] for label in names)))] += 1

    def counts(self) -> Mapping[str, int]:
        """Give all counts so far under their full names."""
        return self._counts


def render(
    counts: Mapping[str, int],
    gauges: Mapping[str, float],
    *,
    ready: bool,
    version: str,
    at: float,
) -> bytes:
    """Show counts, gauges, readiness and version in the text format of Prometheus.

    `at` is now, in seconds since the epoch.
    """
    ends = {full.partition(_MARK)[2]: value - at for full, value in gauges.items()}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(counts, ends, ready=ready, version=version))
    return generate_latest(registry)


class _Shown(Collector):
    """What `render` was given, as prometheus_client asks for it."""

    def __init__(
        self, counts: Mapping[str, int], ends: Mapping[str, float], *, ready: bool, version: str
    ) -> None:
        self._counts = counts
        self._ends = ends
        self._ready = ready
        self._version = version

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(f"{PREFIX}ready", READY_HELP, self._ready)
        built = GaugeMetricFamily(f"{PREFIX}build_info", BUILD_HELP, labels=["version"])
        built.add_metric([self._version], 1)
        yield built
        expiry = GaugeMetricFamily(f"{PREFIX}expiry_seconds", EXPIRY_HELP, labels=["use"])
        for use, seconds in sorted(self._ends.items()):
            expiry.add_metric([use], seconds)
        yield expiry
        families = {
            name: CounterMetricFamily(PREFIX + name, meaning.help, labels=meaning.labels)
            for name, meaning in COUNTERS.items()
        }
        for full, number in self._counts.items():
            name, *values = full.split(_MARK)
            families[name].add_metric(values, number)
        for name, meaning in COUNTERS.items():
            if not meaning.labels and name not in self._counts:
                families[name].add_metric([], 0)
        yield from families.values()
