"""The matrix as people read it: the tables of docs/interop.md, written and read again."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.interop.algorithms import Row
from tests.interop.matrix import Cell, Variant, Way, rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "interop.md"
PEERS = ("OpenSSL", "gpgsm", "NSS", "Bouncy Castle")
COLUMNS = tuple((peer, way) for peer in PEERS for way in Way)
ABSENT = "-"  # the peer does not have it
NOT_ASKED = "·"  # the gateway does not write or open it

_HEAD = """\
# Interoperability

Written by `make interop`, which tries everything below; the tests hold every cell to what stands
here. The gateway signs, verifies, encrypts and decrypts with the functions that carry its mail.

| Peer | Version | Driven by |
|---|---|---|
{peers}

**→** the peer writes and the gateway reads; **←** the gateway writes and the peer reads. A signed
text is altered as well, and must then fail on the reading side; so must an altered ciphertext with
a tag where the gateway reads it. Signatures are tried clear and opaque.

- `ok 8`: all eight that the row stands for came through.
- `ok 6 of 8 [1]`: so many did; the note says what the peer does not have. It was tried, and
  declined in the words the tests expect.
- `- [1]`: the peer has none of it, tried in the same way where its program can be asked at all.
- `· [a]`: the gateway does not do that, on purpose; what it does not write is not counted.
"""
_DRIVEN = {
    "OpenSSL": "`openssl cms`",
    "gpgsm": "`gpgsm`, keys laid down for its agent",
    "NSS": "`cmsutil`",
    "Bouncy Castle": "its CMS API, a Java program of the tests",
}

Cells = Mapping[tuple[str, str, str, Way], Cell]


def written(cells: Cells, versions: Mapping[str, str]) -> str:
    """Write the document; `cells` by section, label, peer and direction."""
    notes: dict[str, str] = {}
    tables = [
        line
        for section in dict.fromkeys(row.section for row in rows())
        for line in _table(section, cells, notes)
    ]
    peers = [f"| {peer} | {versions[peer]} | {_DRIVEN[peer]} |" for peer in PEERS]
    absent = [f"{mark}. {text}" for text, mark in notes.items() if mark.isdigit()]
    not_ours = [f"- {mark}: {text}" for text, mark in notes.items() if not mark.isdigit()]
    return "\n".join(
        [
            _HEAD.format(peers="\n".join(peers)),
            *tables,
            "## What peers do not have",
            "",
            *absent,
            "",
            "## What the gateway does not do",
            "",
            *not_ours,
            "",
        ]
    )


def _table(section: str, cells: Cells, notes: dict[str, str]) -> Iterator[str]:
    arrows = {Way.THEIRS: "→", Way.OURS: "←"}
    yield from (f"## {section}", "")
    yield "| | " + " | ".join(f"{peer} {arrows[way]}" for peer, way in COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for row in rows():
        if row.section == section:
            found = [cells[section, row.label, peer, way] for peer, way in COLUMNS]
            yield f"| {row.label} | " + " | ".join(_noted(one, notes) for one in found) + " |"
    yield ""


def text(cell: Cell) -> str:
    """Say a cell in short, without its notes."""
    if cell.failures:
        return f"**FAIL** {cell.good} of {cell.asked}"
    if not cell.asked:
        return NOT_ASKED
    if not cell.good:
        return ABSENT
    return f"ok {cell.good}" if cell.good == cell.asked else f"ok {cell.good} of {cell.asked}"


def _noted(cell: Cell, notes: dict[str, str]) -> str:
    marks = [_mark(reason, notes, number=True) for reason in cell.reasons]
    if not cell.asked:
        marks += [_mark(reason, notes, number=False) for reason in cell.named]
    return " ".join([text(cell), *([f"[{', '.join(marks)}]"] if marks else [])])


def _mark(reason: str, notes: dict[str, str], *, number: bool) -> str:
    """Give the mark of a note: numbers for what peers lack, letters for what we do not do."""
    if reason not in notes:
        taken = sum(mark.isdigit() == number for mark in notes.values())
        notes[reason] = str(taken + 1) if number else chr(ord("a") + taken)
    return notes[reason]


def committed(row: Row[Variant]) -> Sequence[str]:
    """Give the cells of a row as the document has them, without their notes; empty if it has not.

    Labels are unique in the document.
    """
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        label, *cells = [part.strip() for part in line.strip("|").split("|")]
        if label == row.label and len(cells) == len(COLUMNS):
            return [re.sub(r" \[.*\]$", "", cell) for cell in cells]
    return ()


def committed_version(peer: str) -> str:
    """Give the version of a peer that the document speaks of."""
    found = re.search(
        rf"^\| {peer} \| (\S+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else ""
