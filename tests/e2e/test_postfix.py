"""Postfix before the service in four ways, Postfix behind it, Dovecot at the end: each mail once.

RFC 5321, 2033, 3461, 6152, 6531; Postfix's SMTPD_PROXY_README and FILTER_README; both roles.
"""

import itertools
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.postfix_house import (
    FULL,
    REFUSED,
    SINKING,
    WRITERS,
    PostfixHouse,
    path,
    postfix_house,
)
from tests.e2e.proxy import eventually
from tests.peers import locate, require

pytestmark = pytest.mark.e2e

FRONTS = ("before", "adjusted", "smtp", "lmtp")
QUEUED = ("smtp", "lmtp")  # the client has his 250 before the service sees anything
SECRET = "what nobody else may read"
LOAD = 500  # messages
LOAD_SECONDS = 120
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[PostfixHouse]:
    require("postfix")
    require("dovecot")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    with postfix_house(tmp_path_factory.mktemp("postfix"), made) as running:
        yield running


def fresh() -> str:
    return f"{next(_numbers)}@client.example"


def letter(identifier: str, sender: str, to: str, *, more: str = "", text: str = SECRET) -> bytes:
    return (
        f"Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nFrom: {sender}\r\nTo: {to}\r\n"
        f"Subject: Hello\r\nMessage-ID: <{identifier}>\r\n{more}\r\n{text}\r\n"
    ).encode()


def openssl(*arguments: str, raw: bytes) -> bytes:
    line = [str(require("openssl")), "cms", *arguments]
    return subprocess.run(line, input=raw, capture_output=True, check=True).stdout


def sealed(made: Made, identifier: str, to: str) -> bytes:
    """Let openssl encrypt a mail for alice and the team."""
    inner = f"Content-Type: text/plain\r\n\r\n{SECRET}\r\n".encode()
    certificates = [str(made.files / f"{name}.pem") for name in ("alice", "team")]
    entity = openssl("-encrypt", "-aes256", *certificates, raw=inner)
    head = letter(identifier, PARTNER, to).partition(b"\r\n\r\n")[0] + b"\r\n"
    return head + entity.replace(b"\n", b"\r\n")


def readable(made: Made, raw: bytes, who: str) -> bytes:
    """Open mail with a partner's key."""
    key = ("-inkey", str(made.files / f"{who}.key"))
    return openssl("-decrypt", "-recip", str(made.files / f"{who}.pem"), *key, raw=raw)


def verified(made: Made, raw: bytes) -> bytes:
    """Verify a clear signature against the authority; gives what was signed."""
    return openssl("-verify", "-CAfile", str(made.files / "root.pem"), raw=raw)


@pytest.mark.parametrize("where", [*(f"{way}-outbound" for way in FRONTS), "behind-outbound"])
def test_mail_is_signed_once_and_arrives_once(house: PostfixHouse, where: str) -> None:
    identifier = fresh()
    envelope = [path("MAIL FROM", ALICE), path("RCPT TO", OUTSIDE), path("RCPT TO", TEAM)]
    answers = house.send(where, envelope, letter(identifier, ALICE, f"{OUTSIDE}, {TEAM}"))
    assert [answer.code for answer in answers] == [250] * 4
    house.settled(2, identifier)
    assert house.copies(identifier) == {OUTSIDE: 1, TEAM: 1}
    for user in (OUTSIDE, TEAM):
        raw = house.one(user, identifier)
        assert raw.count(b"multipart/signed") == 1
        assert SECRET.encode() in verified(house.made, raw)
    assert house.reports(ALICE, identifier) == []


@pytest.mark.parametrize("where", [*(f"{way}-outbound" for way in FRONTS), "behind-outbound"])
def test_mail_is_encrypted_and_the_blind_have_a_copy_of_their_own(
    house: PostfixHouse, where: str
) -> None:
    identifier = fresh()
    content = letter(identifier, ALICE, PARTNER, more="X-SMIME-Encrypt: yes\r\n")
    envelope = [path("MAIL FROM", ALICE), path("RCPT TO", PARTNER), path("RCPT TO", FRIEND)]
    assert house.send(where, envelope, content)[-1].code == 250
    house.settled(2, identifier)
    assert house.copies(identifier) == {PARTNER: 1, FRIEND: 1}
    for user, name in ((PARTNER, "partner"), (FRIEND, "friend")):
        raw = house.one(user, identifier)
        assert SECRET.encode() not in raw
        assert SECRET.encode() in readable(house.made, raw, name)


@pytest.mark.parametrize(
    "where", [*(f"{way}-inbound" for way in (*FRONTS, "store")), "behind-inbound"]
)
def test_encrypted_mail_is_readable_in_the_mailbox(house: PostfixHouse, where: str) -> None:
    identifier = fresh()
    envelope = [path("MAIL FROM", PARTNER), path("RCPT TO", ALICE)]
    assert house.send(where, envelope, sealed(house.made, identifier, ALICE))[-1].code == 250
    house.settled(1, identifier)
    assert house.copies(identifier) == {ALICE: 1}
    raw = house.one(ALICE, identifier)
    assert SECRET.encode() in raw
    assert b"\r\nSensitivity: Private\r\n" in raw


@pytest.mark.parametrize("where", [*(f"{way}-inbound" for way in FRONTS), "store-inbound"])
def test_the_sender_hears_once_that_a_team_reads_nothing_encrypted(
    house: PostfixHouse, where: str
) -> None:
    """In the dialogue where there is one, by Postfix's bounce where the mail was queued."""
    identifier = fresh()
    envelope = [path("MAIL FROM", PARTNER), path("RCPT TO", TEAM)]
    answer = house.send(where, envelope, sealed(house.made, identifier, TEAM))[-1]
    if where.startswith(("before", "adjusted")):
        assert (answer.code, answer.status) == (550, "5.7.4")
        house.settled()
        assert house.reports(PARTNER, identifier) == []
    else:
        assert answer.code == 250
        eventually(lambda: bool(house.reports(PARTNER, identifier)), house.explain)
        house.settled()
        assert house.reports(PARTNER, identifier) == [(TEAM,)]
    assert house.copies(identifier) == {}


@pytest.mark.parametrize(
    "where", [*(f"{way}-inbound" for way in (*FRONTS, "store")), "behind-inbound"]
)
def test_of_two_recipients_one_has_it_and_the_sender_hears_of_the_other_once(
    house: PostfixHouse, where: str
) -> None:
    identifier, writer = fresh(), WRITERS[where.partition("-")[0]]
    envelope = [path("MAIL FROM", writer), path("RCPT TO", TEAM), path("RCPT TO", ALICE)]
    content = sealed(house.made, identifier, f"{TEAM}, {ALICE}")
    assert house.send(where, envelope, content)[-1].code == 250
    house.settled(1, identifier)
    eventually(lambda: bool(house.reports(writer, identifier)), house.explain)
    house.settled()
    assert house.copies(identifier) == {ALICE: 1}
    assert house.reports(writer, identifier) == [(TEAM,)]


@pytest.mark.parametrize("where", [*(f"{way}-outbound" for way in FRONTS), "behind-outbound"])
def test_an_invitation_passes_octet_by_octet(house: PostfixHouse, where: str) -> None:
    identifier = fresh()
    calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n.dot\r\n\ttab \r\nEND:VCALENDAR"
    kind = "MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n"
    content = letter(identifier, ALICE, OUTSIDE, more=kind, text=calendar)
    envelope = [path("MAIL FROM", ALICE), path("RCPT TO", OUTSIDE)]
    assert house.send(where, envelope, content)[-1].code == 250
    house.settled(1, identifier)
    assert house.copies(identifier) == {OUTSIDE: 1}
    assert house.one(OUTSIDE, identifier).endswith(b"\r\n" + content)


@pytest.mark.parametrize("where", [*(f"{way}-outbound" for way in FRONTS), "behind-outbound"])
def test_parameters_and_eight_bit_octets_reach_the_last_server(
    house: PostfixHouse, where: str
) -> None:
    identifier = fresh()
    recipient = f"jörg@{SINKING}"
    text = "Grüße aus Köln, \u65e5\u672c"
    stranger = "someone@elsewhere.example"
    content = letter(identifier, stranger, recipient, text=text)
    sender = ("BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=a+2Bb")
    asked = ("NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=utf-8;j\\x{F6}rg@sink.example")
    envelope = [path("MAIL FROM", stranger, *sender), path("RCPT TO", recipient, *asked)]
    answers = house.send(where, envelope, content)
    assert [answer.code for answer in answers] == [250] * 3
    house.settled(1, identifier)
    assert house.copies(identifier) == {recipient: 1}
    (message,) = (one for one in house.sink.messages if identifier.encode() in one.content)
    assert message.content.endswith(b"\r\n" + content)
    parameters = {one.upper() for one in message.parameters}
    assert {"BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=A+2BB"} <= parameters
    (told,) = message.recipient_parameters
    assert {one.partition("=")[0]: one.partition("=")[2] for one in told} == dict(
        one.split("=", 1) for one in asked
    )


def refused_behind(house: PostfixHouse, where: str) -> tuple[str, list[int]]:
    """Send to one who is refused behind and one who is not; gives the client's replies."""
    identifier = fresh()
    envelope = [path("MAIL FROM", ALICE), path("RCPT TO", REFUSED), path("RCPT TO", OUTSIDE)]
    answers = house.send(where, envelope, letter(identifier, ALICE, f"{REFUSED}, {OUTSIDE}"))
    return identifier, [answer.code for answer in answers]


@pytest.mark.parametrize("where", ["before-outbound", "behind-outbound"])
def test_a_refusal_from_behind_is_heard_at_once_and_the_others_have_the_mail(
    house: PostfixHouse, where: str
) -> None:
    identifier, codes = refused_behind(house, where)
    assert codes == [250, 554, 250, 250]
    house.settled(1, identifier)
    assert house.copies(identifier) == {OUTSIDE: 1}
    assert house.reports(ALICE, identifier) == []


def test_a_refusal_from_behind_is_one_for_all_when_the_dialogue_is_over(
    house: PostfixHouse,
) -> None:
    """Postfix replays the whole transaction and gives up at the first refusal (speed_adjust)."""
    identifier, codes = refused_behind(house, "adjusted-outbound")
    assert codes == [250, 250, 250, 554]
    house.settled()
    assert house.copies(identifier) == {}


@pytest.mark.parametrize("way", QUEUED)
def test_a_refusal_from_behind_is_reported_once_when_the_mail_was_queued(
    house: PostfixHouse, way: str
) -> None:
    identifier, codes = refused_behind(house, f"{way}-outbound")
    assert codes == [250] * 4
    house.settled(1, identifier)
    eventually(lambda: bool(house.reports(ALICE, identifier)), house.explain)
    house.settled()
    assert house.copies(identifier) == {OUTSIDE: 1}
    assert house.reports(ALICE, identifier) == [(REFUSED,)]


def test_whose_mailbox_is_full_is_told_of_alone(house: PostfixHouse) -> None:
    """Dovecot says so behind the dot, the LMTP listener passes it on, Postfix bounces for him."""
    identifier = fresh()
    envelope = [path("MAIL FROM", PARTNER), path("RCPT TO", FULL), path("RCPT TO", ALICE)]
    content = letter(identifier, PARTNER, f"{FULL}, {ALICE}", text="much " * 100)
    assert house.send("store-inbound", envelope, content)[-1].code == 250
    house.settled(1, identifier)
    eventually(lambda: bool(house.reports(PARTNER, identifier)), house.explain)
    house.settled()
    assert house.copies(identifier) == {ALICE: 1}
    assert house.reports(PARTNER, identifier) == [(FULL,)]


@pytest.mark.parametrize("way", ["before", "smtp"])
def test_hundreds_of_messages_arrive_once_each(house: PostfixHouse, way: str) -> None:
    sender = f"{way}.load@example.test"
    source = locate("smtp-source")
    assert source is not None
    line = [str(source), "-s", "10", "-m", str(LOAD), "-l", "2000", "-f", sender, "-t", OUTSIDE]
    before = len(house.store.mail(OUTSIDE))
    port = house.ports[f"{way}-outbound"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*line, f"127.0.0.1:{port}"],
            cwd=Path(folder),
            capture_output=True,
            timeout=LOAD_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    arrived = before + LOAD
    eventually(lambda: len(house.store.mail(OUTSIDE)) >= arrived, house.explain)
    house.settled()
    messages = [raw for raw in house.store.mail(OUTSIDE) if sender.encode() in raw]
    names = Counter(identifier_of(raw) for raw in messages)
    assert (len(messages), len(names)) == (LOAD, LOAD)


def identifier_of(raw: bytes) -> bytes:
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    (found,) = (one for one in lines if one.lower().startswith(b"message-id:"))
    return found
