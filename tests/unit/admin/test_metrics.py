"""The counters are a closed list, documented, and shown as Prometheus reads them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smime_proxy.admin.metrics import COUNTERS, Counters, render

ROOT = Path(__file__).parents[3]


def shown(
    counters: Counters, gauges: dict[str, float] | None = None
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = render(counters.counts(), gauges or {}, ready=True, version="1.2", at=1000).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_are_shown_with_their_labels() -> None:
    counters = Counters()
    counters.count("refused", rule='odd "rule"\n')
    counters.count("messages", listener="mx", reply="2yz")
    counters.count("messages", reply="2yz", listener="mx")
    samples = shown(counters)
    labels = (("listener", "mx"), ("reply", "2yz"))
    assert samples["smime_proxy_messages_total", labels] == 2
    assert samples["smime_proxy_refused_total", (("rule", 'odd "rule"\n'),)] == 1
    assert samples["smime_proxy_internal_errors_total", ()] == 0
    assert samples["smime_proxy_ready", ()] == 1
    assert samples["smime_proxy_build_info", (("version", "1.2"),)] == 1


def test_what_ends_is_shown_as_seconds_from_now() -> None:
    samples = shown(Counters(), {"expires\tsigning": 1600.5, "expires\tanchor": 400})
    assert samples["smime_proxy_expiry_seconds", (("use", "signing"),)] == 600.5
    assert samples["smime_proxy_expiry_seconds", (("use", "anchor"),)] == -600


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


def test_every_counter_is_documented() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    documented = {
        name.strip(" `"): tuple(label.strip(" `") for label in labels.split(",") if label.strip())
        for name, labels in rows
    }
    assert documented == {name: meaning.labels for name, meaning in COUNTERS.items()}
