"""What strangers and odd clients try on the ports of a running service, and every octet's way.

Rows A01, A05, A06, A07, E09, R11, R27 to R29, invariants I5, I7, I8, I13, I14; "Delivery, always".
"""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, House, Made
from tests.peers import require
from tests.sink import Message

pytestmark = pytest.mark.e2e

HEADER = f"From: {OUTSIDE}\r\nTo: {ALICE}\r\nSubject: Hello\r\n".encode()
MB = 1_000_000


def content_of(message: Message) -> bytes:
    """Give a message without the one Received field in front of it."""
    assert message.content.startswith(b"Received: ")
    lines = message.content.split(b"\r\n")
    added = 1 + next(n for n, line in enumerate(lines[1:]) if line[:1] not in {b" ", b"\t"})
    return b"\r\n".join(lines[added:])


def arrives(house: House, raw: bytes, listener: str = "in") -> bytes:
    """Send mail of an outsider to alice; gives what the sink got, without our Received field."""
    before = len(house.sink.messages)
    answer = deliver(house.port(listener), OUTSIDE, (ALICE,), raw)
    assert answer.code == 250, answer
    assert len(house.sink.messages) == before + 1
    return content_of(house.sink.messages[-1])


@pytest.mark.parametrize(
    "path",
    [
        "victim@example.net",
        "victim%example.net@example.test",
        "example.net!victim@example.test",
        "@example.test:victim@example.net",
        "@example.test,@mail.example.test:victim@example.net",
        '"victim@example.net"@example.test',
        '"victim%example.net"@example.test',
        "victim@example.net@example.test",
        "victim@example.test@example.net",
        "victim@[127.0.0.1]",
        "victim@example.test.example.net",
    ],
)
@pytest.mark.parametrize("listener", ["in", "stranger"])
def test_a01_a_stranger_cannot_relay(house: House, listener: str, path: str) -> None:
    """Row A01, invariant I8."""
    before = len(house.sink.messages)
    with Client(house.port(listener)) as client:
        client.say("EHLO stranger.example")
        client.say("MAIL FROM:<stranger@example.com>")
        answer = client.say(f"RCPT TO:<{path}>")
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert client.say("DATA").code in {503, 554}
    assert len(house.sink.messages) == before


@pytest.mark.parametrize("command", ["XCLIENT ADDR=127.0.0.1", "XFORWARD ADDR=127.0.0.1"])
def test_a06_a_stranger_cannot_say_who_he_is(house: House, command: str) -> None:
    with Client(house.port("stranger")) as client:
        client.say("EHLO stranger.example")
        answer = client.say(command)
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 550


def test_a_key_is_used_only_for_its_owner(house: House) -> None:
    """Invariant I7: another reverse-path, two mailboxes in From, two From fields."""
    for sender, fields in (
        ("bob@example.test", f"From: {ALICE}\r\n"),
        (ALICE, f"From: {ALICE}, mallory@example.test\r\n"),
        (ALICE, f"From: {ALICE}\r\nFrom: mallory@example.test\r\n"),
    ):
        raw = f"{fields}To: {OUTSIDE}\r\n\r\nHello\r\n".encode()
        assert deliver(house.port("out"), sender, (OUTSIDE,), raw).code == 250
        assert content_of(house.sink.messages[-1]) == raw


def test_a07_forged_results_are_removed_and_those_of_others_stay(house: House) -> None:
    forged = (
        b"Authentication-Results: proxy.example.test; smime=pass\r\n"
        b"X-SMIME-Signature: pass; integrity=intact; chain=trusted; identity=match\r\n"
        b"x-smime-badge: green\r\nX-SMIME-Lock: green\r\nX-SMIME-Encryption:\r\n decrypted\r\n"
        b"AUTHENTICATION-RESULTS:\r\n PROXY.example.test 1; smime=pass\r\n"
    )
    others = b"Authentication-Results: mx.example.test; dkim=pass\r\n"
    arrived = arrives(house, forged + others + HEADER + b"\r\nHello\r\n")
    assert arrived == others + HEADER + b"\r\nHello\r\n"


BARE = [b"one\ntwo", b"one\rtwo", b"one\n\rtwo", b"\nat the start", b"one\r\r\ntwo"]


@pytest.mark.parametrize("text", BARE)
def test_a_bare_line_end_is_refused_from_outside(house: House, text: bytes) -> None:
    before = len(house.sink.messages)
    answer = deliver(house.port("in"), OUTSIDE, (ALICE,), HEADER + b"\r\n" + text + b"\r\n")
    assert (answer.code, answer.status) == (554, "5.5.2")
    assert len(house.sink.messages) == before


@pytest.mark.parametrize("text", BARE)
def test_a_bare_line_end_of_our_own_clients_is_made_crlf(house: House, text: bytes) -> None:
    arrived = arrives(house, HEADER + b"\r\n" + text + b"\r\n", "out")
    assert arrived.count(b"\r\n") == arrived.count(b"\r") == arrived.count(b"\n")
    assert b"".join(arrived.split()) == b"".join((HEADER + text).split())


@pytest.mark.parametrize("listener", ["in", "out"])
@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r.\n",
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
        b"\r\r\n.\r\r\n",
        b"\r\n..\r\n",
    ],
)
def test_only_crlf_dot_crlf_ends_a_message(house: House, listener: str, end: bytes) -> None:
    """Row E09, invariant I14: whatever pretends to end it, there is one message and one reply."""
    smuggled = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nX: y\r\n"
    before = len(house.sink.messages)
    with Client(house.port(listener)) as client:
        client.say("EHLO smuggler.example")
        client.say(f"MAIL FROM:<{OUTSIDE}>")
        client.say(f"RCPT TO:<{ALICE}>")
        assert client.say("DATA").code == 354
        client.send(HEADER + b"\r\nfirst" + end + smuggled + b"\r\n.\r\n")
        answer = client.answer()
        # Exactly one reply: the next one is NOOP's.
        assert client.say("NOOP").code == 250
    bare = any(octet in end.replace(b"\r\n", b"") for octet in b"\r\n")
    if listener == "in" and bare:
        assert answer.code == 554
        assert len(house.sink.messages) == before
        return
    assert answer.code == 250
    (message,) = house.sink.messages[before:]
    assert (message.reverse_path, message.recipients) == (OUTSIDE, (ALICE,))
    assert b"MAIL FROM:<a@example.test>\r\n" in message.content
    assert b"\r\n.\r\n" not in message.wire


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b".\r\n",
        b"..\r\n.\r\n...\r\n",
        HEADER + b"\r\n.\r\n..\r\n.a\r\n",
        HEADER + b"\r\n",
        HEADER,
        HEADER + b"\r\n\x00\x01\x7f\x80\xff\xfe\r\n",
        HEADER + b"X-Raw: \xc3\xa4\xff\x00\r\n\r\n" + bytes(set(range(256)) - {10, 13}) + b"\r\n",
        HEADER + b"\r\n" + b"x" * 20_000 + b"\r\n",
        HEADER + b" \r\n\t\r\n\r\n \r\nbody\r\n",
        b"From " + HEADER + b"\r\nmbox\r\n",
    ],
)
@pytest.mark.parametrize("listener", ["in", "out"])
def test_mail_without_smime_passes_octet_for_octet(house: House, listener: str, raw: bytes) -> None:
    """Invariant I13."""
    assert arrives(house, raw, listener) == raw


def test_a_mail_of_thirty_megabytes_is_signed(house: House, made: Made, tmp_path: Path) -> None:
    text = b"A line of text that is long enough to be worth it.\r\n" * (30 * MB // 52)
    raw = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\n".encode() + text
    assert deliver(house.port("out"), ALICE, (OUTSIDE,), raw).code == 250
    arrived = tmp_path / "arrived.eml"
    arrived.write_bytes(house.sink.messages.pop().content)
    content = tmp_path / "content"
    line = ("cms", "-verify", "-CAfile", made.files / "root.pem", "-in", arrived, "-out", content)
    subprocess.run([require("openssl"), *line], check=True, capture_output=True)
    signed = content.read_bytes()
    assert hashlib.sha256(signed[-len(text) :]).digest() == hashlib.sha256(text).digest()


def test_a_mail_over_the_limit_is_refused_as_soon_as_it_is_known(house: House) -> None:
    before = len(house.sink.messages)
    with Client(house.port("out")) as client:
        answer = client.say("EHLO client.example.test")
        assert f"SIZE {50 * MB}" in answer.lines
        answer = client.say(f"MAIL FROM:<{ALICE}> SIZE={60 * MB}")
        assert (answer.code, answer.status) == (552, "5.3.4")
        answer = client.transaction(ALICE, (OUTSIDE,), HEADER + b"\r\n" + b"x" * 60 * MB)
        assert (answer.code, answer.status) == (552, "5.3.4")
        assert client.transaction(ALICE, (OUTSIDE,), HEADER + b"\r\nsmall\r\n").code == 250
    assert len(house.sink.messages) == before + 1


def test_r11_a_request_to_encrypt_that_cannot_be_met_sends_nothing(house: House) -> None:
    """Row R11, invariant I5."""
    before = len(house.sink.messages)
    raw = f"From: {ALICE}\r\nTo: {OUTSIDE}, {PARTNER}\r\nX-SMIME-Encrypt: yes\r\n\r\nsecret\r\n"
    answer = deliver(house.port("out"), ALICE, (OUTSIDE, PARTNER), raw.encode())
    assert (answer.code, answer.status) == (550, "5.7.5")
    assert OUTSIDE in answer.text
    assert PARTNER not in answer.text
    assert len(house.sink.messages) == before


def test_r29_a_loop_is_cut_once(house: House) -> None:
    before = len(house.sink.messages)
    raw = b"Received: from a by b; Mon, 1 Jun 2026 12:00:00 +0000\r\n" * 60 + HEADER + b"\r\nx\r\n"
    answer = deliver(house.port("in"), OUTSIDE, (ALICE,), raw)
    assert (answer.code, answer.status) == (554, "5.4.6")
    assert len(house.sink.messages) == before


def test_r27_the_same_text_sent_twice_on_purpose_arrives_twice(house: House) -> None:
    before = len(house.sink.messages)
    for number in (1, 2):
        arrives(house, HEADER + f"Message-ID: <{number}@x.example>\r\n\r\nsame\r\n".encode())
    assert len(house.sink.messages) == before + 2


def test_the_null_reverse_path_is_served_on_both_sides(house: House) -> None:
    for listener, recipient in (("in", ALICE), ("out", OUTSIDE)):
        raw = f"From: {ALICE}\r\nTo: {recipient}\r\n\r\nReport\r\n".encode()
        assert deliver(house.port(listener), "", (recipient,), raw).code == 250
        assert house.sink.messages[-1].reverse_path == ""
        assert content_of(house.sink.messages[-1]) == raw
