"""Helm's own engine renders our chart: its Go library, in a process of its own.

    refused_or_files = render([Request(chart, values), ...])

The library is Helm's SDK, so templates, values and their schema are what `helm template` makes of
them; no cluster is asked. A Go runtime does not share a process with the rest of the tests.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import helm_python

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "smime-proxy"
RELEASE, NAMESPACE = "acme", "mail"


@dataclass(frozen=True)
class Request:
    """One rendering."""

    chart: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """Files by their path in the chart, or why there are none."""

    files: Mapping[str, str]
    refusal: str = ""

    def objects(self) -> str:
        """Give all documents as one stream of YAML."""
        return "\n---\n".join(
            text for name, text in sorted(self.files.items()) if name.endswith(".yaml")
        )

    def notes(self) -> str:
        return next(text for name, text in self.files.items() if name.endswith("NOTES.txt"))


def render(requests: Sequence[Request]) -> list[Answer]:
    """Render charts with values, all in one process."""
    return [Answer(**one) for one in _ask("render", [asdict(one) for one in requests])]


def lint(chart: Path, values: Mapping[str, Any]) -> list[str]:
    """Give what `helm lint --strict` has against a chart, but that it has no icon."""
    told = _ask("lint", [str(chart), values])
    return [one["error"] for one in told["messages"] if one["error"] != "icon is recommended"]


def _ask(task: str, argument: object) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.helm", task],
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def _answered(task: str, argument: Any) -> object:
    if task == "lint":
        return helm_python.lint(*argument, strict=True)
    return [asdict(_rendered(one)) for one in argument]


def _rendered(request: Mapping[str, Any]) -> Answer:
    with helm_python.Chart.load(request["chart"]) as chart:
        try:
            files = chart.render(request["values"], name=RELEASE, namespace=NAMESPACE)
        except helm_python.HelmError as error:
            return Answer({}, str(error))
    return Answer(files)


if __name__ == "__main__":
    json.dump(_answered(sys.argv[1], json.load(sys.stdin)), sys.stdout)
