"""What XFORWARD says of one message."""

import pytest

from smime_proxy.envelope import REMOTE, Origin
from smime_proxy.smtp.attributes import AttributesError
from smime_proxy.smtp.xforward import doubtful, read_xforward


def test_several_commands_add_up() -> None:
    first = read_xforward(b"NAME=a.example ADDR=192.0.2.1 PORT=7", None)
    assert first == Origin("192.0.2.1", 7, "a.example")
    second = read_xforward(b"PROTO=ESMTP HELO=a IDENT=4Xyz SOURCE=remote", first)
    assert second == Origin("192.0.2.1", 7, "a.example", "ESMTP", "a", "4Xyz", REMOTE)
    assert read_xforward(b"SOURCE=[UNAVAILABLE] ADDR=[UNAVAILABLE]", second) == Origin(
        "", 7, "a.example", "ESMTP", "a", "4Xyz"
    )


def test_what_could_forge_is_harmless() -> None:
    read = read_xforward(b"HELO=a+0D+0Ab NAME=x+20(y) IDENT=+3C PROTO=+22", None)
    assert read == Origin(helo="a??b", name="x??y?", identifier="?", protocol="?")


@pytest.mark.parametrize(
    "argument",
    [b"", b"SOURCE=ELSEWHERE", b"LOGIN=a", b"ADDR=x", b"PORT=x", b"PROTO=" + b"x" * 65],
)
def test_what_cannot_be_read_is_refused(argument: bytes) -> None:
    with pytest.raises(AttributesError):
        read_xforward(argument, None)


def test_a_doubtful_message_is_a_strangers() -> None:
    assert doubtful(None) == Origin(source=REMOTE)
    assert doubtful(Origin(name="a", source="LOCAL")) == Origin(name="a", source=REMOTE)
