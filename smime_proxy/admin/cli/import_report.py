"""What became of each file of a directory that was taken in, and how many of each.

RFC 8259 (JSON).
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import typer

from smime_proxy.admin.cli.output import emit_json, say, tell
from smime_proxy.admin.cli.program import FAILED


class Outcome(StrEnum):
    """What became of something in a file."""

    IMPORTED = "imported"
    KNOWN = "known"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """One key or certificate of a file, or why the file has none; names are those of the JSON."""

    file: str
    outcome: Outcome
    reason: str = ""
    fingerprint: str = ""
    addresses: tuple[str, ...] = ()


def show(lines: list[Line], noun: str, *, as_json: bool) -> None:
    """Print the report; ends the command with exit code 1 when anything was refused."""
    counted = Counter(line.outcome for line in lines)
    numbers = {outcome.value: counted[outcome] for outcome in Outcome}
    if as_json:
        emit_json(numbers | {"files": lines})
    else:
        for line in lines:
            if line.reason:
                say(f"{line.file}: {line.outcome}: {line.reason}")
        told = ", ".join(f"{number} {outcome}" for outcome, number in numbers.items())
        tell(f"{noun}: {told}")
    if counted[Outcome.REFUSED]:
        raise typer.Exit(FAILED)
