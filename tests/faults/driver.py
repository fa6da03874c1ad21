"""Clients that offer letters as a mail server does: recipient by recipient, until each is settled.

Every offer is journalled before it is made, every reply before anything follows from it.
"""

import threading
import time
from collections.abc import Iterator, Sequence

from tests.e2e.client import Answer, Client, Lost
from tests.faults.journal import Journal, Letter, Word

RETRY_SECONDS = 0.05  # between attempts while the service is away
REFUSALS = 400  # the least code of a reply that is no success


def connect(port: int, *, lmtp: bool = False) -> Client:
    """Connect and say EHLO or LHLO; raises `Lost` when the service takes no mail."""
    client = Client(port)
    hello = f"{'LHLO' if lmtp else 'EHLO'} client.example.test"
    if client.greeting.code != 220 or client.say(hello).code != 250:
        client.__exit__()
        raise Lost
    return client


def offer(
    client: Client,
    journal: Journal,
    letter: Letter,
    recipients: Sequence[str],
    *,
    pipelined: bool = False,
    lmtp: bool = False,
) -> list[Answer]:
    """Offer a letter once; gives all replies from MAIL on. Raises `Lost` after noting it."""
    journal.note(Word.OFFER, letter, recipients)
    attempt = _Attempt(client, journal, letter, list(recipients))
    try:
        if attempt.envelope(pipelined=pipelined):
            attempt.content(each=lmtp)
    except (Lost, OSError):
        word = Word.UNKNOWN if attempt.sent else Word.LOST
        journal.note(word, letter, attempt.open, "connection lost")
        raise Lost from None
    return attempt.answers


class _Attempt:
    """One transaction; `open` are the recipients of whom nothing is known yet."""

    def __init__(
        self, client: Client, journal: Journal, letter: Letter, recipients: list[str]
    ) -> None:
        self._client = client
        self._journal = journal
        self._letter = letter
        self.open = recipients
        self.sent = False
        self.answers: list[Answer] = []

    def envelope(self, *, pipelined: bool) -> bool:
        """Say MAIL, RCPT and DATA; tells whether the content is asked for."""
        asked = list(self.open)
        lines = [f"MAIL FROM:<{self._letter.sender}>", *(f"RCPT TO:<{one}>" for one in asked)]
        if pipelined:
            self._client.send("".join(f"{line}\r\n" for line in (*lines, "DATA")).encode())
        accepted, dead = 0, False
        for number, line in enumerate(lines):
            if dead and not pipelined:
                break
            answer = self._client.answer() if pipelined else self._client.say(line)
            if dead:
                continue  # whatever is said of recipients after MAIL was refused
            self.answers.append(answer)
            if answer.code < REFUSALS:
                accepted += number > 0
                continue
            dead = number == 0
            self._refused(answer, asked[number - 1 : number] if number else asked)
        if not pipelined and not accepted:
            self._client.say("RSET")
            return False
        answer = self._client.answer() if pipelined else self._client.say("DATA")
        if answer.code == 354:
            return True
        if self.open:
            self.answers.append(answer)
            self._refused(answer, list(self.open))
        self._client.say("RSET")
        return False

    def content(self, *, each: bool) -> None:
        """Send the content and judge the reply to its dot, with LMTP one for each recipient."""
        self.sent = True
        asked = [[one] for one in self.open] if each else [list(self.open)]
        for number, recipients in enumerate(asked):
            content = self._letter.content
            answer = self._client.answer() if number else self._client.content(content)
            self.answers.append(answer)
            if answer.code == 250:
                self._journal.note(Word.ACK, self._letter, recipients, str(answer))
                self.open = [one for one in self.open if one not in recipients]
            else:
                self._refused(answer, recipients)

    def _refused(self, answer: Answer, recipients: list[str]) -> None:
        word = Word.REFUSED if answer.code >= 500 else Word.NACK
        self._journal.judge(word, self._letter, recipients, answer)
        self.open = [one for one in self.open if one not in recipients]


class Sender:
    """One client thread: offers letters one after the other, each until it is settled."""

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
            while (pending := self._pending(letter)) and not self._over:
                if not self._settle(letter, pending):
                    time.sleep(RETRY_SECONDS)
        self._hang_up()

    def _pending(self, letter: Letter) -> list[str]:
        said = self._journal.said
        return [
            one
            for one in letter.recipients
            if not said[Word.ACK][letter.identifier, one]
            and not said[Word.REFUSED][letter.identifier, one]
        ]

    def _settle(self, letter: Letter, recipients: Sequence[str]) -> bool:
        """Offer once; tells whether everybody got it."""
        try:
            client = self._client = self._client or connect(self._port)
            answers = offer(client, self._journal, letter, recipients)
        except (Lost, OSError):
            self._hang_up()
            return False
        if any(answer.code >= REFUSALS for answer in answers):
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.__exit__()
