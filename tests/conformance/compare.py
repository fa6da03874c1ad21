"""Findings held against facts; what differs must be explained, what is explained must differ.

RFC 5652, RFC 8551. The explanations are `explanations.toml`.
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.conformance.facts import HERE, NOT_OPENED, TRUSTED, Fact
from tests.conformance.observe import LEFT_CLOSED, World, observe

Key = tuple[str, str, str]  # file, path, what

SHOWN_DIGEST = 16  # hexadecimal digits of a SHA-256 in tables and explanations


@dataclass(frozen=True, slots=True)
class Finding:
    """What they and we say of one thing (`kind`, `content`, `integrity` ...) of one layer."""

    fact: Fact
    what: str
    theirs: str
    ours: str

    @property
    def agrees(self) -> bool:
        """Tell whether both say the same; of chains only whether they are trusted."""
        if self.what.startswith("chain"):
            return (self.theirs == TRUSTED) == (self.ours == TRUSTED)
        return self.theirs == self.ours

    @property
    def is_unopened(self) -> bool:
        """Tell of a ciphertext that neither opens: it needs its reason like a difference."""
        return self.what == "content" and self.ours == NOT_OPENED

    @property
    def key(self) -> Key:
        """Name the thing, as explanations do."""
        return self.fact.file, self.fact.path, self.what


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a finding is as it is; `closed` says under which heading a ciphertext stays closed."""

    file: str
    path: str
    what: str
    ours: str
    why: str
    closed: str = ""

    @property
    def key(self) -> Key:
        """Name the thing, as findings do."""
        return self.file, self.path, self.what


def compare(world: World, facts: Iterable[Fact]) -> Iterator[Finding]:
    """Look at every layer there is a fact of."""
    for fact in facts:
        ours = observe(world, fact)
        for what, theirs in _said(fact):
            yield Finding(fact, what, theirs, _short(ours.get(what, "nothing")))


def _said(fact: Fact) -> Iterator[tuple[str, str]]:
    yield "kind", fact.kind
    if fact.recipients:
        yield "recipients", " ".join(fact.recipients)
        yield "cipher", fact.cipher
    for what, word in (
        ("content", fact.content),
        ("integrity", fact.integrity),
        ("chain now", fact.chain_now),
        ("chain at signing", fact.chain_at_signing),
    ):
        if word is not None:
            yield what, _short(word)
    if "." in fact.path and fact.recipients:
        yield "in its place", LEFT_CLOSED


def _short(word: str) -> str:
    return word[:SHOWN_DIGEST] if len(word) == 64 else word


def read_explanations() -> tuple[Explanation, ...]:
    """Give the explanations; one reason may hold for several files and things."""
    read = tomllib.loads((HERE / "explanations.toml").read_text(encoding="utf-8"))
    return tuple(
        Explanation(file, path, what, row["ours"], row["why"], row.get("closed", ""))
        for row in read["explanation"]
        for file in row["files"]
        for path in row.get("paths", ["1"])
        for what in row["what"]
    )


def problems(findings: Iterable[Finding], explanations: Iterable[Explanation]) -> Iterator[str]:
    """Say what is not explained, explained wrongly, or explained without need."""
    waiting: dict[Key, Explanation] = {}
    for explanation in explanations:
        if explanation.key in waiting:
            yield f"{explanation.key} is explained twice"
        waiting[explanation.key] = explanation
    for finding in findings:
        if finding.agrees and not finding.is_unopened:
            continue
        found = waiting.pop(finding.key, None)
        said = f"{finding.key}: they say {finding.theirs}, we say {finding.ours}"
        if found is None:
            yield f"{said}: not explained"
        elif found.ours != finding.ours:
            yield f"{said}: explained for {found.ours}"
    yield from (f"{key} is explained and not needed" for key in waiting)
