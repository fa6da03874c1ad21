"""What clients offered and heard, on disk before they go on, and the checker after it.

The algebra is Jepsen's for a total queue, for each message and recipient: acknowledged but not
delivered is lost, delivered but never offered is unexpected; a duplicate needs a reason.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from tests.e2e.client import Answer

Pair = tuple[str, str]  # Message-ID and recipient
_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>\r$", re.MULTILINE | re.IGNORECASE)
_MISSED = re.compile(rb"^Final-Recipient: rfc822; ?([^\r]+)\r$", re.MULTILINE | re.IGNORECASE)
# What a reply says when some recipients have the message, or may have it.
_IN_DOUBT = re.compile(r"may have been sent|\d+ of \d+ recipients have the message")


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to offer until it is accepted or refused for good."""

    identifier: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Word(Enum):
    """What happened to an offer, for one recipient."""

    OFFER = "offer"
    ACK = "ack"
    NACK = "nack"  # 4yz: again later
    REFUSED = "refused"  # 5yz: not again
    LOST = "lost"  # the connection, before the content was sent
    UNKNOWN = "unknown"  # lost, or said to be in doubt, behind the content


@dataclass
class Journal:
    """How often each word was said of each pair; `path` gets a line each time."""

    path: Path
    said: dict[Word, Counter[Pair]] = field(init=False)

    def __post_init__(self) -> None:
        self.said = {word: Counter() for word in Word}
        self._lock = threading.Lock()
        self._file = self.path.open("a", encoding="utf-8")

    def note(self, word: Word, letter: Letter, recipients: Iterable[str], why: str = "") -> None:
        """Write a line for each recipient and what follows from it; on disk when this returns."""
        with self._lock:
            for recipient in recipients:
                self._file.write(f"{word.value} {letter.identifier} {recipient} {why}\n")
                self.said[word][letter.identifier, recipient] += 1
            self._file.flush()
            os.fsync(self._file.fileno())

    def about(self, letters: Iterable[Letter]) -> dict[Word, Counter[Pair]]:
        """Give what was said of some letters."""
        names = {letter.identifier for letter in letters}
        with self._lock:
            return {
                word: Counter({pair: n for pair, n in pairs.items() if pair[0] in names})
                for word, pairs in self.said.items()
            }

    def judge(self, word: Word, letter: Letter, recipients: Iterable[str], answer: Answer) -> Word:
        """Note a reply that is no success; gives what it means."""
        if word is Word.UNKNOWN or in_doubt(answer):
            word = Word.UNKNOWN
        self.note(word, letter, recipients, str(answer))
        return word


def in_doubt(answer: Answer) -> bool:
    """Tell whether a refusal says that somebody has, or may have, the message."""
    return _IN_DOUBT.search(answer.text) is not None


class Taken(Protocol):
    """An accepted message, as any sink keeps it."""

    @property
    def reverse_path(self) -> str: ...
    @property
    def recipients(self) -> tuple[str, ...]: ...
    @property
    def wire(self) -> bytes: ...


def delivered(messages: Iterable[Taken]) -> Counter[Pair]:
    """Count copies by Message-ID and recipient; reports are not among them."""
    found: Counter[Pair] = Counter()
    for message in messages:
        if message.reverse_path == "" and _MISSED.search(message.wire):
            continue
        match = _MESSAGE_ID.search(message.wire)
        assert match is not None, message.wire[:500]
        found.update((match[1].decode(), recipient) for recipient in message.recipients)
    return found


def reported(messages: Iterable[Taken]) -> set[Pair]:
    """Give who is named in delivery status notifications as not having a message."""
    found: set[Pair] = set()
    for message in messages:
        missed = _MISSED.findall(message.wire)
        if message.reverse_path == "" and missed:
            name = _MESSAGE_ID.findall(message.wire)[-1].decode()
            found |= {(name, recipient.decode()) for recipient in missed}
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checker's sums; only `duplicates` may be other than empty."""

    lost: frozenset[Pair]  # I1: acknowledged, neither delivered nor reported
    unexpected: frozenset[Pair]  # I3: delivered or reported, never offered; or both of them
    unexplained: frozenset[Pair]  # I4: more copies than one and the replies in doubt
    duplicates: int  # copies beyond one, all explained

    @property
    def holds(self) -> bool:
        return not (self.lost or self.unexpected or self.unexplained)


def verdict(said: Mapping[Word, Counter[Pair]], messages: Iterable[Taken]) -> Verdict:
    """Hold what clients know against what the sink has."""
    messages = list(messages)
    copies, missed = delivered(messages), reported(messages)
    offered, acknowledged = said[Word.OFFER].keys(), said[Word.ACK].keys()
    unknown = said[Word.UNKNOWN]
    return Verdict(
        frozenset(acknowledged - copies.keys() - missed),
        frozenset((copies.keys() | missed) - offered | (missed & copies.keys())),
        frozenset(pair for pair, count in copies.items() if count > 1 + unknown[pair]),
        sum(count - 1 for count in copies.values()),
    )


def check(journal: Journal, messages: Iterable[Taken], windows: int) -> Verdict:
    """Assert I1, I3 and I4; `windows` is how many copies all faults may have doubled."""
    result = verdict(journal.said, messages)
    assert result.holds, result
    assert result.duplicates <= windows, result
    return result
