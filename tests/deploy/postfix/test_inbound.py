"""The layouts for mail that comes in: as content filter of port 25, and between MX and mail store.

RFC 5321, 3464, 5546, 8551, 8601; rows E13, E23, E71, E93.
"""

from collections.abc import Iterator

import pytest

from tests.deploy.postfix.building import started
from tests.deploy.postfix.house import (
    AWAY,
    BOB,
    INVOICES,
    OFFICE,
    SALES,
    STRANGER,
    US,
    PostfixHouse,
)
from tests.deploy.postfix.letters import (
    EIGHT_BIT,
    INVITATION,
    REPORT,
    SECRET,
    fresh,
    letter,
    readable,
    sealed,
)
from tests.deploy.postfix.outage import away
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.proxy import eventually
from tests.sink import Fault, Say, Sink, Step
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

OUTAGE_SECONDS, MESSAGES = 1.0, 6
SIGNED = b"Content-Type: multipart/signed"
LIST = "list-bounces@example.org"
FORWARDING = "10029"  # where the mail store sends on


@pytest.fixture(scope="module", params=["inbound", "mx"])
def house(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    settled: Made,
    tls: TlsFiles,
) -> Iterator[PostfixHouse]:
    folder = tmp_path_factory.mktemp("deploy") / request.param
    with started(request.param, folder, settled, tls) as running:
        yield running


def seal(house: PostfixHouse, identifier: str, to: str, *names: str) -> bytes:
    return sealed(house.made.files, identifier, PARTNER, to, *names)


def test_encrypted_mail_is_readable_in_the_mailbox(house: PostfixHouse) -> None:
    """DKIM was verified before, over the ciphertext."""
    identifier = fresh()
    content = seal(house, identifier, ALICE, "alice")
    assert house.send(STRANGER, PARTNER, [ALICE], content).code == 250
    raw = house.arrived(ALICE, identifier)
    header = raw.partition(b"\r\n\r\n")[0]
    assert SECRET.encode() in raw
    assert b"\r\nSensitivity: Private\r\n" in header
    verified = header.index(b"Authentication-Results: verifier.example.test; dkim=none")
    assert header.index(b"Authentication-Results: smime.example.test;") < verified


def test_a_team_refuses_and_the_sender_hears_why_from_postfix(house: PostfixHouse) -> None:
    identifier = fresh()
    content = seal(house, identifier, TEAM, "team")
    assert house.send(STRANGER, PARTNER, [TEAM], content).code == 250
    bounce = house.left(identifier)
    assert (bounce.reverse_path, bounce.recipients) == ("", (PARTNER,))
    assert f"Final-Recipient: rfc822; {TEAM}\r\n".encode() in bounce.content
    said = b" ".join(bounce.content.split())
    assert b"5.7.4" in said
    assert b"send it unencrypted, or write to a person." in said
    assert house.inside(TEAM, identifier) == []


def test_a_person_has_it_and_the_sender_hears_of_the_team_alone(house: PostfixHouse) -> None:
    identifier = fresh()
    content = seal(house, identifier, f"{ALICE}, {TEAM}", "alice", "team")
    assert house.send(STRANGER, PARTNER, [TEAM, ALICE], content).code == 250
    assert SECRET.encode() in house.arrived(ALICE, identifier)
    bounce = house.left(identifier)
    assert f"Final-Recipient: rfc822; {TEAM}\r\n".encode() in bounce.content
    assert f"Final-Recipient: rfc822; {ALICE}\r\n".encode() not in bounce.content
    assert house.inside(TEAM, identifier) == []


@pytest.mark.parametrize(
    ("sender", "more", "text"),
    [
        (PARTNER, *INVITATION),
        (PARTNER, *EIGHT_BIT),
        (LIST, "List-Id: <all.example.org>\r\n", "To all."),
        ("", *REPORT),
        ("", "Auto-Submitted: auto-replied\r\n", "I am away."),
    ],
    ids=["invitation", "eight bits", "list", "report", "vacation"],
)
def test_what_is_not_encrypted_arrives_octet_by_octet(
    house: PostfixHouse, sender: str, more: str, text: str
) -> None:
    identifier = fresh()
    content = letter(identifier, PARTNER, ALICE, more, text)
    assert house.send(STRANGER, sender, [ALICE], content).code == 250
    assert house.arrived(ALICE, identifier).endswith(b"\r\n" + content)


def test_mail_within_the_house_arrives_once_as_it_is(house: PostfixHouse) -> None:
    identifier = fresh()
    content = letter(identifier, ALICE, BOB)
    assert house.send(US, ALICE, [BOB], content).code == 250
    assert house.arrived(BOB, identifier).endswith(b"\r\n" + content)


def test_an_address_that_stands_for_two_reaches_both_once(house: PostfixHouse) -> None:
    identifier = fresh()
    content = letter(identifier, PARTNER, SALES)
    assert house.send(STRANGER, PARTNER, [SALES], content).code == 250
    eventually(lambda: bool(house.inside(BOB, identifier)), house.explain)
    house.settle()
    assert len(house.inside(ALICE, identifier)) == 1
    assert len(house.inside(BOB, identifier)) == 1


def test_a_forged_mail_that_is_sent_on_is_not_signed(house: PostfixHouse) -> None:
    """By an alias before the service, or by the mail store behind it."""
    identifier = fresh()
    content = letter(identifier, INVOICES, AWAY)
    if house.layout.name == "mx":
        assert house.send(STRANGER, INVOICES, [AWAY], content).code == 250
    else:
        assert house.send(US, INVOICES, [OUTSIDE], content, FORWARDING).code == 250
    message = house.left(identifier)
    assert message.recipients == (OUTSIDE,)
    assert SIGNED not in message.content
    assert message.content.endswith(b"\r\n" + content)


def test_encrypted_mail_that_an_alias_sends_on_leaves_encrypted_or_not_at_all(
    house: PostfixHouse,
) -> None:
    """Where it is decrypted first, addresses elsewhere are refused, though somebody wrote one."""
    identifier = fresh()
    content = seal(house, identifier, AWAY, "alice", "partner")
    assert house.send(STRANGER, PARTNER, [AWAY], content).code == 250
    message = house.left(identifier)
    assert SECRET.encode() not in message.content
    if house.layout.name == "mx":
        assert message.recipients == (OUTSIDE,)
        assert SECRET.encode() in readable(house.made.files, message.content, "partner")
    else:
        assert (message.reverse_path, message.recipients) == ("", (PARTNER,))
        assert f"Final-Recipient: rfc822; {OUTSIDE}\r\n".encode() in message.content


@pytest.mark.parametrize("sender", ["", PARTNER, ALICE])
def test_opened_mail_that_the_mail_store_sends_on_does_not_leave_in_clear(
    house: PostfixHouse, sender: str
) -> None:
    """By a redirect, whatever sender it keeps, or by the bounce when that is refused.

    `mx` leaves redirects to the store's own layout.
    """
    if house.layout.name == "mx":
        return
    identifier = fresh()
    content = seal(house, identifier, ALICE, "alice")
    assert house.send(STRANGER, PARTNER, [ALICE], content).code == 250
    opened = house.arrived(ALICE, identifier)
    assert house.send(US, sender, [OUTSIDE, PARTNER], opened, FORWARDING).code == 250
    house.settle()
    for message in house.outside(identifier):
        assert OUTSIDE not in message.recipients
        assert SECRET.encode() not in message.content
    assert "5.7.5" in house.postfix.log()


def test_a_bounce_of_opened_mail_does_not_return_its_text(house: PostfixHouse) -> None:
    """The mailbox is full, which Postfix hears when the mail is in clear already."""
    identifier = fresh()
    if isinstance(house.mailboxes, Sink):
        full = Say(b"552 5.2.2 Mailbox full\r\n")
        house.mailboxes.faults = [Fault(Step.RCPT, full, containing=OFFICE.encode())]
    content = seal(house, identifier, OFFICE, "office")
    assert house.send(STRANGER, PARTNER, [OFFICE], content).code == 250
    bounce = house.left(identifier)
    assert (bounce.reverse_path, bounce.recipients) == ("", (PARTNER,))
    assert b"5.2.2" in bounce.content
    assert SECRET.encode() not in bounce.content


def test_nobody_is_relayed_for_and_unknown_people_are_refused_at_the_door(
    house: PostfixHouse,
) -> None:
    assert house.send(STRANGER, PARTNER, [OUTSIDE], letter(fresh())).code == 554
    assert house.send(STRANGER, PARTNER, ["x@example.test"], letter(fresh())).code == 550


def test_nothing_is_lost_while_the_service_is_away(house: PostfixHouse) -> None:
    result = away(house, OUTAGE_SECONDS, MESSAGES, flush=True)
    assert (result.lost, result.duplicates, result.refused) == (0, 0, 0)
    assert result.waiting == MESSAGES


def test_postfix_has_nothing_to_warn_of(house: PostfixHouse) -> None:
    """`postfix check` runs when it starts."""
    assert house.warnings() == []
