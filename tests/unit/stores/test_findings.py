"""What directories said, kept in the store."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.association import Association, Matching, Selector, Usage
from smime_proxy.gateway.ports import Answer
from smime_proxy.stores import findings, schema
from smime_proxy.stores.connection import Store, revision
from smime_proxy.stores.findings import KeptAnswers, read, write
from tests import pki

PAT = parse_mailbox("pat@example.org")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PERSON = pki.person(None, PAT.text, kind="p256").certificate
RECORD = Association.of(PERSON, Usage.DANE_EE, Selector.PUBLIC_KEY, Matching.SHA256)


def answer(source: str = "ldap:corp", hours: int = 1, address: str = PAT.text) -> Answer:
    until = NOW + timedelta(hours=hours)
    mailbox = parse_mailbox(address)
    return Answer(mailbox, source, NOW, until, (PERSON,), (RECORD,), "a reason")


def test_what_is_kept_comes_back_as_it_was(store: Store) -> None:
    write(store, [answer()], NOW)
    assert read(store, PAT) == (answer(),)
    assert read(store, parse_mailbox("Pat@example.org")) == ()
    assert read(store, parse_mailbox("pat@EXAMPLE.org")) == (answer(),)


def test_a_new_answer_takes_the_place_of_the_old(store: Store) -> None:
    write(store, [answer(), answer("smimea")], NOW)
    write(store, [answer(hours=5)], NOW)
    assert set(read(store, PAT)) == {answer(hours=5), answer("smimea")}


def test_nobody_reads_the_store_again_for_it_and_nothing_is_audited(store: Store) -> None:
    with store.reading() as connection:
        before = revision(connection)
    write(store, [answer()], NOW)
    with store.reading() as connection:
        assert revision(connection) == before
        assert connection.execute(select(schema.audit)).all() == []


def test_what_has_ended_is_forgotten(store: Store) -> None:
    write(store, [answer()], NOW)
    write(store, [answer("smimea", hours=5)], NOW + timedelta(hours=1))
    assert [one.source for one in read(store, PAT)] == ["smimea"]


def test_so_many_are_kept_and_those_that_end_first_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_KEPT", 2)
    write(store, [answer("a", 3), answer("b", 1), answer("c", 2)], NOW)
    assert {one.source for one in read(store, PAT)} == {"a", "c"}


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        "{}",
        '{"certificates": ["00"], "associations": [], "reason": ""}',
        '{"certificates": ["zz"], "associations": [], "reason": ""}',
        '{"certificates": [], "associations": [[1]], "reason": ""}',
    ],
)
def test_what_can_no_longer_be_read_is_asked_for_again(store: Store, said: str) -> None:
    write(store, [answer()], NOW)
    with store.noticing() as noticing:
        noticing.connection.execute(update(schema.finding).values(said=said))
        noticing.written = True
    assert read(store, PAT) == ()


async def test_a_store_that_cannot_be_used_costs_a_line_and_a_question(store: Store) -> None:
    kept = KeptAnswers(store)
    lasting = answer(hours=10**6)
    await kept.write([lasting])
    assert await kept.read(PAT) == (lasting,)
    with store.noticing() as noticing:
        schema.finding.drop(noticing.connection)
        noticing.written = True
    with capture_logs() as logs:
        assert await kept.read(PAT) == ()
        await kept.write([lasting])
    assert [line["event"] for line in logs] == ["answers not read", "answers not written"]
