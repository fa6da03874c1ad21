"""A layout of deploy/postfix as it is shipped, and what others its programs are given to run here.

Ports, paths, times and names of others are put in place of those in the files, nothing else.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.proxy import ROOT, Design, Listener
from tests.ports import HOST, free_ports

SHIPPED = ROOT / "deploy" / "postfix"
LAYOUTS = ("submission", "outbound", "inbound", "mx", "smarthost")
MAPS = ("sender_logins", "recipients", "aliases")
SETTINGS = "smime-proxy.toml"
DOMAIN = "example.test"
_NUMBER = re.compile(r"\b100[0-9]{2}\b")
_SERVICE = re.compile(r"^(\S+) +inet ", re.MULTILINE)
# Retries within the time of a test; a stranger is told from us by his address.
TIMES = {
    "queue_run_delay = 60s": "queue_run_delay = 1s",
    "minimal_backoff_time = 60s": "minimal_backoff_time = 1s",
    "maximal_backoff_time = 900s": "maximal_backoff_time = 1s",
}
PLACES = {"127.0.0.0/8": "127.0.0.1/32"}


def shipped(name: str, file: str) -> str:
    """Read a file of a layout."""
    return (SHIPPED / name / file).read_text(encoding="utf-8")


def services(master: str) -> list[str]:
    """Give the services on ports, as master.cf names them."""
    return _SERVICE.findall(master)


def replaced(text: str, words: Mapping[str, str]) -> str:
    """Put other words in place of some; each must be there."""
    for old, new in words.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass(frozen=True, slots=True)
class Shipped(Design):
    """The settings of a layout; `text` has everything but the ports of the listeners."""

    text: str = ""

    def toml(self, state: Path, ports: Mapping[str, int]) -> str:
        """Write the settings file."""
        words = {
            f'bind = "{HOST}:{number}"': f'bind = "{HOST}:{ports[name]}"'
            for name, number in binds(self.text).items()
        }
        words["[service]\n"] = f'[service]\nstate_dir = "{state}"\n'
        text = replaced(self.text, words)
        return f'{text}\n[admin]\nbind = ""\n[status]\nbind = "{HOST}:{ports["status"]}"\n'


def binds(text: str) -> dict[str, str]:
    """Give the ports of the listeners by their names."""
    tables = tomllib.loads(text)["listeners"]
    return {name: table["bind"].rpartition(":")[2] for name, table in tables.items()}


@dataclass
class Layout:
    """The files of a layout moved to a folder and to free ports."""

    name: str
    folder: Path
    times: Mapping[str, str] = field(default_factory=lambda: TIMES)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = services(shipped(self.name, "master.cf"))
        names = [name.rpartition(":")[2] for name in known]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        for name in MAPS:
            if (SHIPPED / self.name / name).exists():
                text = shipped(self.name, name).replace("example.com", DOMAIN)
                (self.folder / name).write_text(text)

    def _text(self, file: str, words: Mapping[str, str]) -> str:
        numbers = {name: str(port) for name, port in self.ports.items()}
        text = _NUMBER.sub(lambda found: numbers.get(found[0], found[0]), shipped(self.name, file))
        text = replaced(text, words).replace("example.com", DOMAIN)
        for path in ("/etc/postfix", "/etc/smime-proxy"):
            text = text.replace(path, str(self.folder))
        return text

    def settings(self, words: Mapping[str, str]) -> Shipped:
        """Give the settings of the service, with other words in place of some."""
        text = self._text(SETTINGS, words)
        listeners = {name: Listener("", "") for name in binds(text)}
        return Shipped({}, listeners, text=text)

    def listening(self, ports: Mapping[str, int]) -> None:
        """Take over where the service listens, by the names of its listeners."""
        bound = binds(shipped(self.name, SETTINGS))
        self.ports |= {number: ports[name] for name, number in bound.items()}

    def main(self, words: Mapping[str, str], more: Sequence[str] = ()) -> str:
        """Give main.cf."""
        text = self._text("main.cf", {**PLACES, **words})
        for old, new in self.times.items():
            text = text.replace(old, new)
        return "\n".join((text, *more, ""))

    def master(self) -> str:
        """Give master.cf."""
        text = self._text("master.cf", {}).replace(*next(iter(PLACES.items())))
        for name in services(text):
            if name in self.ports:
                text = re.sub(rf"(?m)^{name} +inet", f"{self.ports[name]} inet", text)
        return text
