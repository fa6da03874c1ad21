"""What is wrong with the settings, one fault a line, all at once.

TOML 1.0 "Keys" for the spelling of dotted paths.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the path of the key, what is wrong, and where the value came from.

    `path` may be empty for faults of a whole source; `origin` is empty for the settings file.
    """

    path: KeyPath
    text: str
    origin: str = ""

    def __str__(self) -> str:
        key = dotted(self.path)
        place = f" (from {self.origin})" if self.origin else ""
        return f"{key}: {self.text}{place}" if key else f"{self.text}{place}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` holds every fault found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep all faults; the message is one line each."""
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def dotted(path: Sequence[str]) -> str:
    """Spell a path as TOML does: `partners."example.org".encrypt`."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else json.dumps(part) for part in path)
