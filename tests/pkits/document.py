"""The tables of docs/pkits.md: counts by section, and every case where we differ, explained."""

from collections.abc import Iterator, Sequence

from tests.house.source import ROOT
from tests.pkits.cases import sections
from tests.pkits.suite import Outcome

DOCUMENT = ROOT / "docs" / "pkits.md"
BEGIN, END = "<!-- begin: tables -->", "<!-- end: tables -->"


def tables(outcomes: Sequence[Outcome]) -> str:
    """Write the tables."""
    return "\n".join((*_counts(outcomes), "", *_differences(outcomes)))


def written(document: str, text: str) -> str:
    """Put the tables into the document."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def problems(outcomes: Sequence[Outcome]) -> list[str]:
    """Name the cases where we differ and nothing says why."""
    return [
        f"{one.case.title}: {'valid' if one.valid else one.reason or 'not valid'}"
        for one in outcomes
        if not one.agrees and not one.explanation
    ]


def _counts(outcomes: Sequence[Outcome]) -> Iterator[str]:
    paths = {one.case.name for one in outcomes}
    agreed = sum(one.agrees for one in outcomes)
    yield f"{len(paths)} paths, {len(outcomes)} cases: **{agreed} as expected**."
    yield ""
    yield "| section | about | cases | as expected |"
    yield "|---|---|---|---|"
    for number, title in sections().items():
        some = [one for one in outcomes if one.case.section == number]
        yield f"| {number} | {title} | {len(some)} | {sum(one.agrees for one in some)} |"


def _differences(outcomes: Sequence[Outcome]) -> Iterator[str]:
    differing = [one for one in outcomes if not one.agrees]
    for why in dict.fromkeys(one.explanation for one in differing):
        names = ", ".join(one.case.title for one in differing if one.explanation == why)
        yield f"- {why or '**not explained**'}: {names}"
