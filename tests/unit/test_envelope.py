from dataclasses import replace
from datetime import UTC, datetime

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import (
    LOCAL,
    REMOTE,
    Envelope,
    ForwardPath,
    Origin,
    Role,
    Session,
    decode_xtext,
    origin_of,
    parameter,
)

ALICE = parse_mailbox("alice@example.test")
BOB = parse_mailbox("bob@example.test")


def envelope(*parameters: str) -> Envelope:
    return Envelope(
        identifier="x1",
        session=Session(listener="mx", role=Role.INBOUND, peer="192.0.2.1", helo="there"),
        reverse_path=None,
        forward_paths=(ForwardPath(BOB), ForwardPath(ALICE, ("NOTIFY=NEVER",))),
        content=b"",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        parameters=parameters,
    )


def test_recipients_come_in_the_order_of_the_dialogue() -> None:
    assert envelope().recipients == (BOB, ALICE)


@pytest.mark.parametrize(
    ("protocol", "prdr", "hears"),
    [("ESMTPS", False, False), ("LMTPS", False, True), ("ESMTP", True, True)],
)
def test_who_hears_of_each_recipient(protocol: str, prdr: bool, hears: bool) -> None:
    session = replace(envelope().session, protocol=protocol, prdr=prdr)
    assert session.hears_each is hears


def test_smtputf8_is_what_the_client_declared_in_any_case() -> None:
    assert envelope("size=10", "smtputf8").smtputf8
    assert not envelope("BODY=8BITMIME").smtputf8


def test_parameters_are_found_without_case() -> None:
    given = ("Body=8BITMIME", "smtputf8", "ENVID=a+2Bb")
    assert parameter(given, "BODY") == "8BITMIME"
    assert parameter(given, "SMTPUTF8") == ""
    assert parameter(given, "RET") is None
    assert decode_xtext("a+2Bb+20c") == "a+b c"


@pytest.mark.parametrize(
    ("given", "wanted", "original"),
    [
        ((), True, ""),
        (("NOTIFY=NEVER", "ORCPT=rfc822;a+2Bb@x"), False, "rfc822; a+b@x"),
        (("notify=success",), False, ""),
        (("NOTIFY=delay,failure", r"ORCPT=utf-8;\x{E4}@x"), True, r"utf-8; \x{E4}@x"),
    ],
)
def test_a_path_says_what_its_sender_wants_to_hear(
    given: tuple[str, ...], wanted: bool, original: str
) -> None:
    path = ForwardPath(parse_mailbox("a@x.org"), given)
    assert (path.wants_failures, path.original) == (wanted, original)


def test_a_message_comes_from_the_client_or_from_where_a_peer_says() -> None:
    """The two are never mixed (XFORWARD_README)."""
    known = Origin("192.0.2.1", 4711, "c.example", local_address="192.0.2.9", local_port=25)
    session = Session(
        "out", Role.OUTBOUND, "192.0.2.1", "c", "ESMTPSA", login="a", connection=known
    )
    assert origin_of(session, "a1") == replace(
        known, protocol="ESMTPSA", helo="c", identifier="a1", source=LOCAL, login="a"
    )
    assert origin_of(replace(session, role=Role.INBOUND), "a1").source == REMOTE
    said = Origin(name="d.example", source=REMOTE)
    forwarded = replace(session, forwarded=said)
    assert origin_of(forwarded, "a1") == said
    assert [one.is_strangers for one in (session, forwarded)] == [False, True]
