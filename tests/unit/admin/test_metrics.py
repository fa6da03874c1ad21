"""The counters are a closed list, documented, and shown as Prometheus reads them."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smime_proxy.admin.metrics import (
    COUNTERS,
    GAUGES,
    MAX_SERIES,
    Counters,
    Gauge,
    Meaning,
    full_name,
    render,
)
from smime_proxy.smtp.tally import MAX_REPORT_OCTETS

ROOT = Path(__file__).parents[3]


def shown(
    counters: Counters, *measured: dict[str, float]
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = render(counters.counts(), measured, ready=True, version="1.2", at=1000).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_are_shown_with_their_labels() -> None:
    counters = Counters()
    counters.count("refused", rule='odd "rule"\n', mode="soft")
    counters.count("messages", listener="mx", reply="2yz")
    counters.count("messages", reply="2yz", listener="mx")
    samples = shown(counters)
    labels = (("listener", "mx"), ("reply", "2yz"))
    assert samples["smime_proxy_messages_total", labels] == 2
    labels = (("mode", "soft"), ("rule", 'odd "rule"\n'))
    assert samples["smime_proxy_refused_total", labels] == 1
    assert samples["smime_proxy_internal_errors_total", ()] == 0
    assert samples["smime_proxy_ready", ()] == 1
    assert samples["smime_proxy_build_info", (("version", "1.2"),)] == 1


def test_what_ends_is_shown_as_seconds_from_now() -> None:
    samples = shown(
        Counters(),
        {full_name("expiry_seconds", "signing"): 1600.5},
        {full_name("expiry_seconds", "signing"): 1700, full_name("expiry_seconds", "anchor"): 400},
    )
    assert samples["smime_proxy_expiry_seconds", (("use", "signing"),)] == 600.5
    assert samples["smime_proxy_expiry_seconds", (("use", "anchor"),)] == -600


def test_of_what_several_processes_measure_one_value_is_made_as_it_makes_sense() -> None:
    held, age = full_name("message_octets_held"), full_name("snapshot_age_seconds")
    there = full_name("upstream_reachable", "relay")
    samples = shown(Counters(), {held: 5, age: 0.5, there: 1}, {held: 7, age: 3.5, there: 0})
    assert samples["smime_proxy_message_octets_held", ()] == 12
    assert samples["smime_proxy_snapshot_age_seconds", ()] == 3.5
    assert samples["smime_proxy_upstream_reachable", (("upstream", "relay"),)] == 0


@pytest.mark.parametrize("value", ["alice@example.test", "two\tlabels", "x" * 61])
def test_no_address_and_nothing_endless_becomes_a_label(value: str) -> None:
    counters = Counters()
    counters.count("session_errors", listener=value)
    assert shown(counters)["smime_proxy_session_errors_total", (("listener", "other"),)] == 1


def test_the_number_of_series_has_an_end_and_a_report_holds_them_all() -> None:
    counters = Counters()
    for number in range(3 * MAX_SERIES):
        labels = {"listener": f"{number:060}", "reason": "x" * 60}
        counters.count("sessions_refused", **labels)
    counters.count("internal_errors")
    assert len(counters.counts()) <= MAX_SERIES + len(COUNTERS)
    others = (("listener", "other"), ("reason", "other"))
    samples = shown(counters)
    assert samples["smime_proxy_sessions_refused_total", others] == 2 * MAX_SERIES
    assert samples["smime_proxy_internal_errors_total", ()] == 1
    assert len(json.dumps(counters.counts())) < MAX_REPORT_OCTETS / 2


def test_tasks_are_shown_for_each_worker() -> None:
    samples = shown(Counters(), {"tasks\t0": 12, "tasks\t1": 7})
    assert samples["smime_proxy_tasks", (("worker", "0"),)] == 12
    assert samples["smime_proxy_tasks", (("worker", "1"),)] == 7


@pytest.mark.parametrize(
    ("name", "labels"),
    [("misspelt", {}), ("refused", {}), ("refused", {"kind": "x"}), ("reported", {"rule": "x"})],
)
def test_what_is_not_in_the_list_is_a_fault(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        Counters().count(name, **labels)


def counted() -> Iterator[tuple[str, set[str]]]:
    """Yield names and labels that the program counts, as the source says them."""
    for path in sorted((ROOT / "smime_proxy").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=owner, attr="count"),
                    args=[ast.Constant(value=str(name))],
                ) if ast.unparse(owner).split(".")[-1] in {"measures", "self", "admission"} | {
                    "_admission"
                }:
                    labels = {str(keyword.arg) for keyword in node.keywords}
                    parts = ast.unparse(owner).split(".")
                    yield name, labels if parts[-1] == "measures" else labels | {"listener"}


def test_everything_counted_is_in_the_list_with_its_labels() -> None:
    found = dict(counted())
    assert found == {name: set(meaning.labels) for name, meaning in COUNTERS.items()}


def test_what_is_documented_is_what_is_exported_and_the_reverse() -> None:
    """The page against what the endpoint shows: names, kinds and labels, in both directions."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    documented = {
        name.strip(" `"): tuple(label.strip(" `") for label in labels.split(",") if label.strip())
        for name, labels in rows
    }
    known: dict[str, Meaning | Gauge] = {**COUNTERS, **GAUGES}
    assert len(rows) == len(documented) == len(known)
    assert documented == {name: one.labels for name, one in known.items()}
    exported = render({}, [], ready=True, version="1.2", at=0).decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(exported)}
    assert kinds == {
        **{f"smime_proxy_{name}": "counter" for name in COUNTERS},
        **{f"smime_proxy_{name}": "gauge" for name in GAUGES},
    }
