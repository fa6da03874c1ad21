"""The checker finds what it is for: a lost, an unexpected and a doubled message, each by itself."""

from pathlib import Path

import pytest

from tests.e2e.client import Answer
from tests.faults.journal import Journal, Letter, Word, delivered, in_doubt, reported, verdict
from tests.faults.sinks import Accepted

ONE, TWO = "one@example.net", "two@example.net"
LETTER = Letter("1@x.example", "alice@example.test", (ONE, TWO), b"")
PAIRS = {(LETTER.identifier, ONE), (LETTER.identifier, TWO)}
WIRE = b"From: a\r\nMessage-ID: <1@x.example>\r\n\r\nText\r\n"
BOTH = Accepted("alice@example.test", (ONE, TWO), WIRE)
FIRST = Accepted("alice@example.test", (ONE,), WIRE)
REPORT = Accepted(
    "",
    ("alice@example.test",),
    b"Message-ID: <dsn@x.example>\r\n\r\nFinal-Recipient: rfc822; two@example.net\r\n"
    b"Message-ID: <1@x.example>\r\n",
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal")
    journal.note(Word.OFFER, LETTER, LETTER.recipients)
    return journal


def test_what_was_acknowledged_and_delivered_once_is_well(journal: Journal) -> None:
    journal.note(Word.ACK, LETTER, LETTER.recipients)
    assert verdict(journal.said, [BOTH]).holds
    assert verdict(journal.said, [FIRST, REPORT]).holds
    assert reported([REPORT]) == PAIRS - {(LETTER.identifier, ONE)}
    assert set(delivered([BOTH, REPORT])) == PAIRS


def test_an_acknowledged_recipient_without_a_copy_is_lost(journal: Journal) -> None:
    journal.note(Word.ACK, LETTER, LETTER.recipients)
    assert verdict(journal.said, [FIRST]).lost == PAIRS - {(LETTER.identifier, ONE)}
    assert verdict(journal.said, []).lost == PAIRS


def test_a_copy_that_nobody_offered_is_unexpected(journal: Journal) -> None:
    assert verdict(journal.said, [BOTH]).unexpected == frozenset()
    stranger = Accepted("alice@example.test", ("six@example.net",), WIRE)
    assert verdict(journal.said, [stranger]).unexpected == {(LETTER.identifier, "six@example.net")}
    # Nor may somebody be reported as missed who has it.
    assert verdict(journal.said, [BOTH, REPORT]).unexpected == {(LETTER.identifier, TWO)}


def test_a_second_copy_needs_a_reply_that_never_came(journal: Journal) -> None:
    assert verdict(journal.said, [BOTH, FIRST]).unexplained == {(LETTER.identifier, ONE)}
    journal.note(Word.UNKNOWN, LETTER, [ONE])
    result = verdict(journal.said, [BOTH, FIRST])
    assert (result.holds, result.duplicates) == (True, 1)
    assert not verdict(journal.said, [BOTH, FIRST, FIRST]).holds


def test_every_word_is_on_disk_and_about_its_letter(journal: Journal) -> None:
    journal.note(Word.ACK, LETTER, [ONE], "250")
    lines = journal.path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"offer {LETTER.identifier} {ONE} "
    assert lines[-1] == f"ack {LETTER.identifier} {ONE} 250"
    other = Letter("2@x.example", "a@example.test", (ONE,), b"")
    assert not journal.about([other])[Word.OFFER]
    assert journal.about([LETTER])[Word.OFFER].keys() == PAIRS


def test_only_some_refusals_leave_it_open_who_has_the_message() -> None:
    assert in_doubt(Answer(451, ("4.4.2 The connection was lost: it may have been sent.",)))
    assert in_doubt(Answer(451, ("4.4.2 Try again: 1 of 2 recipients have the message.",)))
    assert not in_doubt(Answer(451, ("4.4.2 Nothing was sent. The connection was lost.",)))
