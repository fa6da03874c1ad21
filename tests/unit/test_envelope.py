from datetime import UTC, datetime

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Envelope, ForwardPath, Role, Session

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


def test_smtputf8_is_what_the_client_declared_in_any_case() -> None:
    assert envelope("size=10", "smtputf8").smtputf8
    assert not envelope("BODY=8BITMIME").smtputf8
