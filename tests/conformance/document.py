"""The tables of docs/conformance.md, as the run gives them.

Everything between the two marks in the document is written here and nowhere else.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.compare import Explanation, Finding, Key, compare, read_explanations
from tests.conformance.facts import NOT_OPENED, read_facts
from tests.conformance.key_files import KeyFile, listed, refusal
from tests.conformance.keyring import Keyring
from tests.conformance.observe import read_world

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- begin: python -m tests.conformance -->", "<!-- end -->"

_RECOGNITION = frozenset({"kind", "recipients", "cipher", "in its place"})


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one run found."""

    ring: Keyring
    findings: tuple[Finding, ...]
    explanations: tuple[Explanation, ...]
    key_files: tuple[tuple[KeyFile, str], ...]


def run(root: Path) -> Run:
    """Run over the collections below a folder, which takes some seconds."""
    world = read_world(root)
    return Run(
        world.ring,
        tuple(compare(world, read_facts(root))),
        read_explanations(),
        tuple((key_file, refusal(root, key_file)) for key_file in listed()),
    )


def tables(done: Run) -> str:
    """Write all tables."""
    parts = (_keys(done), _counts(done), _closed(done), _differences(done), _key_files(done))
    return "\n\n".join("\n".join(part) for part in parts)


def written(document: str, text: str) -> str:
    """Put the tables between the marks of a document."""
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def _keys(done: Run) -> Iterator[str]:
    ring = done.ring
    refused = ring.refused.total()
    yield (
        f"Offered to every message: {len(ring.keys)} different keys to decrypt with, from"
        f" {ring.files} files with a private key. {refused} files were refused at import:"
    )
    yield ""
    yield from (f"- {count}: {reason}" for reason, count in sorted(ring.refused.items()))


def _counts(done: Run) -> Iterator[str]:
    yield (
        "| collection | files | layers | recognised | ciphertexts | with a key | opened"
        " | signatures | integrity alike | chains alike |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    by_corpus: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in done.findings:
        by_corpus[finding.fact.corpus].append(finding)
    headings = {one.key: one.closed for one in done.explanations}
    for corpus, findings in sorted(by_corpus.items()):
        yield _row(corpus, findings, headings)
    yield _row("all", done.findings, headings)


def _row(name: str, findings: Sequence[Finding], headings: Mapping[Key, str]) -> str:
    contents = [one for one in findings if one.what == "content"]
    with_key = [one for one in contents if not headings.get(one.key)]
    opened = [one for one in contents if one.ours != NOT_OPENED]
    cells = (
        name,
        len({one.fact.file for one in findings}),
        len({(one.fact.file, one.fact.path) for one in findings}),
        _alike(one for one in findings if one.what in _RECOGNITION),
        len(contents),
        len(with_key),
        f"{len(opened)} of {len(with_key)}",
        len([one for one in findings if one.what == "integrity"]),
        _alike(one for one in findings if one.what == "integrity"),
        _alike(one for one in findings if one.what.startswith("chain")),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _alike(findings: Iterable[Finding]) -> str:
    answers = [one.agrees for one in findings]
    return f"{sum(answers)} of {len(answers)}" if answers else "-"


def _closed(done: Run) -> Iterator[str]:
    yield "Ciphertexts that stay closed:"
    yield ""
    yield "| because | files | that is |"
    yield "|---|---|---|"
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in done.explanations:
        if one.closed:
            grouped[one.closed, one.why].append(one.file)
    for (because, why), files in sorted(grouped.items()):
        yield f"| {because} | {_short(files)} | {why} |"


def _differences(done: Run) -> Iterator[str]:
    yield "Where we say something else than OpenSSL:"
    yield ""
    yield "| files | what | OpenSSL | we | because |"
    yield "|---|---|---|---|---|"
    reasons = {one.key: one.why for one in done.explanations if not one.closed}
    grouped: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for one in done.findings:
        if not one.agrees and one.key in reasons:
            row = one.what, one.theirs, one.ours, reasons[one.key]
            grouped[row].append(one.fact.file)
    for cells, files in sorted(grouped.items(), key=lambda item: item[1]):
        yield f"| {_short(files)} | {' | '.join(cells)} |"


def _key_files(done: Run) -> Iterator[str]:
    imported = [file for file, refused in done.key_files if not refused]
    yield (
        f"PKCS #12 files with their passwords: {len(imported)} of {len(done.key_files)} imported."
        " The others:"
    )
    yield ""
    yield "| files | we say | because |"
    yield "|---|---|---|"
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for file, refused in done.key_files:
        if refused:
            grouped[refused, file.why].append(file.file)
    for cells, files in grouped.items():
        yield f"| {_short(files)} | {' | '.join(cells)} |"


def _short(files: Iterable[str]) -> str:
    by_corpus: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        corpus, _, rest = file.partition("/")
        by_corpus[corpus].append(f"`{rest.rpartition('/')[2]}`")
    return "; ".join(f"{corpus} {', '.join(names)}" for corpus, names in by_corpus.items())
