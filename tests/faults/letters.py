"""Letters for clients that send under load: one group or two, open or encrypted, each unique."""

import itertools
import threading
from collections.abc import Iterator

from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER
from tests.faults.journal import Letter

SECRET = "canary-of-an-encrypted-letter"
GROUPS = 2  # the most groups a letter here is sent in, hence the most copies a death can double
SHAPES = (
    ((OUTSIDE,), False),  # signed, one group
    ((PARTNER,), True),  # encrypted, one group
    ((OUTSIDE, PARTNER), False),  # signed for the one, encrypted for the other
    ((PARTNER, FRIEND), True),  # both encrypted, the second blind: a copy of his own
)


def letters() -> Iterator[Letter]:
    """Write letters without end, each with a Message-ID and a canary of its own."""
    for number in itertools.count():
        recipients, sealed = SHAPES[number % len(SHAPES)]
        request = "X-SMIME-Encrypt: yes\r\n" if sealed else ""
        text = f"{SECRET}-{number}" if sealed else f"An open word, number {number}."
        head = (
            f"From: {ALICE}\r\nTo: {recipients[0]}\r\nSubject: Letter {number}\r\n"
            f"Message-ID: <{number}@client.example>\r\n{request}\r\n"
        )
        content = f"{head}{text}\r\n".encode()
        yield Letter(f"{number}@client.example", ALICE, recipients, content)


class Shared(Iterator[Letter]):
    """An iterator for several threads."""

    def __init__(self, source: Iterator[Letter]) -> None:
        self._source = source
        self._lock = threading.Lock()

    def __next__(self) -> Letter:
        with self._lock:
            return next(self._source)
