"""What XCLIENT says, on top of what it said before."""

import pytest

from smime_proxy.smtp.attributes import AttributesError
from smime_proxy.smtp.proxy_protocol import Ends
from smime_proxy.smtp.throttle import Throttle
from smime_proxy.smtp.xclient import AnnouncedAuthentication, Claim, read_xclient

PEER = Claim(Ends("127.0.0.1", 40000, "127.0.0.1", 25), "proxy.example")


@pytest.mark.parametrize(
    ("argument", "claim"),
    [
        (
            b"ADDR=192.0.2.1",
            Claim(Ends("192.0.2.1", 0, "127.0.0.1", 25)),
        ),
        (
            b"PORT=7 NAME=a.example ADDR=IPV6:2001:db8::1 DESTADDR=192.0.2.9 DESTPORT=587",
            Claim(Ends("2001:db8::1", 7, "192.0.2.9", 587), "a.example"),
        ),
        (b"NAME=[TEMPUNAVAIL]", Claim(PEER.ends)),
        (
            b"PROTO=esmtp HELO=a+20b LOGIN=alice+40example.com",
            Claim(PEER.ends, "proxy.example", "ESMTP", "a?b", "alice@example.com"),
        ),
        (b"ADDR=[UNAVAILABLE] LOGIN=[unavailable]", Claim(Ends("unknown", 0, "127.0.0.1", 25))),
        (b"DESTADDR=[UNAVAILABLE]", Claim(Ends("127.0.0.1", 40000, "unknown", 25), PEER.name)),
    ],
)
def test_a_claim_is_read(argument: bytes, claim: Claim) -> None:
    assert read_xclient(argument, PEER) == claim


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"PROTO=LMTP",
        b"PROTO=HTTP",
        b"LOGIN=a+00",
        b"LOGIN=+FF",
        b"LOGIN=a+0Ab",
        b"ADDR=192.0.2.1 NAME=x..y!",
        b"REVERSE_NAME=a",
    ],
)
def test_what_is_no_claim_is_refused(argument: bytes) -> None:
    with pytest.raises(AttributesError):
        read_xclient(argument, PEER)


def test_lmtp_is_a_protocol_of_lmtp_listeners() -> None:
    assert read_xclient(b"PROTO=LMTP", PEER, lmtp=True).protocol == "LMTP"


async def test_a_login_that_was_announced_is_an_identity_until_forgotten() -> None:
    outcomes: list[str] = []
    nobody = AnnouncedAuthentication("192.0.2.1", Throttle(), outcomes.append, "")
    alice = AnnouncedAuthentication("192.0.2.1", Throttle(), outcomes.append, "alice")
    assert (nobody.succeeded, alice.succeeded, alice.upstream) == (False, True, None)
    await alice.forget()
    assert not alice.succeeded
    assert outcomes == []
