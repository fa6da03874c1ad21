"""A client that journals every offer and reply, retries as an MTA does, and the checker after it.

The algebra is Jepsen's for a total queue, for each message and recipient: acknowledged but not
delivered is lost, delivered but never offered is unexpected; a duplicate needs a reason.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.client import Answer, Client, Lost
from tests.sink import Message

RETRY_SECONDS = 0.05  # between attempts while the service is away
_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>\r$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to offer until it is accepted or refused for good."""

    identifier: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Spool(list[Message]):
    """The messages of a sink, each on disk before the sink says 250."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab")

    def append(self, message: Message) -> None:
        self._file.write(message.wire)
        self._file.flush()
        os.fsync(self._file.fileno())
        super().append(message)


@dataclass
class Journal:
    """What the clients offered and heard, on disk line by line before they go on."""

    path: Path
    offered: dict[str, Letter] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refused: dict[str, Answer] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)  # content sent, no reply heard

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._file = self.path.open("a", encoding="utf-8")

    def note(self, word: str, letter: Letter, detail: str = "") -> None:
        """Write one line and what follows from it."""
        with self._lock:
            self._file.write(f"{word} {letter.identifier} {detail}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            match word:
                case "offer":
                    self.offered[letter.identifier] = letter
                case "ack":
                    self.acknowledged.add(letter.identifier)
                case "unknown":
                    self.unknown[letter.identifier] += 1


class Sender:
    """One client thread: offers letters one after the other, each until 2yz or 5yz."""

    def __init__(self, port: int, journal: Journal, letters: Iterator[Letter]) -> None:
        self._port = port
        self._journal = journal
        self._letters = letters
        self._stop = threading.Event()
        self._over = False
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end after the letter at hand."""
        self._stop.set()

    def give_up(self) -> None:
        """Ask for the end although the letter at hand may not be settled: nobody serves now."""
        self._over = True
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "a client did not come to an end"

    def _run(self) -> None:
        while not self._stop.is_set():
            letter = next(self._letters)
            while not self._settle(letter) and not self._over:
                time.sleep(RETRY_SECONDS)
        self._hang_up()

    def _settle(self, letter: Letter) -> bool:
        """Offer once; tell whether the letter is done with."""
        self._journal.note("offer", letter)
        sent = False
        try:
            client = self._client = self._client or self._connect()
            answer = self._envelope(client, letter)
            if answer.code == 354:
                sent = True
                answer = client.content(letter.content)
        except (Lost, OSError):
            self._journal.note("unknown" if sent else "lost", letter)
            self._hang_up()
            return False
        self._journal.note("ack" if answer.code == 250 else "nack", letter, str(answer))
        if answer.code >= 400:
            if sent and "may have been sent" in answer.text:
                self._journal.note("unknown", letter)
            self._hang_up()
        if answer.code >= 500:
            self._journal.refused[letter.identifier] = answer
        return answer.code == 250 or answer.code >= 500

    def _envelope(self, client: Client, letter: Letter) -> Answer:
        recipients = (f"RCPT TO:<{item}>" for item in letter.recipients)
        answer = Answer(0, ())
        for line in (f"MAIL FROM:<{letter.sender}>", *recipients, "DATA"):
            answer = client.say(line)
            if answer.code >= 400:
                break
        return answer

    def _connect(self) -> Client:
        client = Client(self._port)
        if client.greeting.code != 220 or client.say("EHLO client.example.test").code != 250:
            client.__exit__()
            raise Lost
        return client

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.__exit__()


def delivered(messages: Iterable[Message]) -> Counter[tuple[str, str]]:
    """Count copies by Message-ID and recipient."""
    found: Counter[tuple[str, str]] = Counter()
    for message in messages:
        match = _MESSAGE_ID.search(message.content)
        assert match is not None, message.content[:500]
        found.update((match[1].decode(), recipient) for recipient in message.recipients)
    return found


def check(journal: Journal, messages: Sequence[Message], windows: int) -> None:
    """Assert invariants I1, I3 and I4; `windows` is how many copies all faults may have doubled.

    A duplicate needs an attempt of that very letter whose outcome its client never heard.
    """
    copies = delivered(messages)
    acknowledged = pairs(journal.offered[name] for name in journal.acknowledged)
    assert acknowledged - copies.keys() == set(), "lost"
    assert copies.keys() - pairs(journal.offered.values()) == set(), "unexpected"
    unexplained = {
        pair: count for pair, count in copies.items() if count > 1 + journal.unknown[pair[0]]
    }
    assert unexplained == {}, "duplicated without a reason"
    assert sum(count - 1 for count in copies.values()) <= windows


def pairs(letters: Iterable[Letter]) -> set[tuple[str, str]]:
    """Give what is to arrive: Message-ID and recipient."""
    return {(letter.identifier, item) for letter in letters for item in letter.recipients}
