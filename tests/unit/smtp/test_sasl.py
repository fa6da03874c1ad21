"""Exchanges of AUTH: what is sound, and what each fault is answered with."""

from base64 import b64encode

import pytest

from smime_proxy.reply import Reply
from smime_proxy.smtp.sasl import MAX_AUTH_OCTETS, Credentials, read_credentials

SECRET = "p\u00e4ss w\u00f6rd"


def b64(text: str) -> bytes:
    return b64encode(text.encode())


class Client:
    """Answers challenges from a list; None is a client that is gone."""

    def __init__(self, *lines: bytes | None) -> None:
        self.lines = list(lines)
        self.challenges: list[bytes] = []

    async def ask(self, challenge: bytes) -> bytes | None:
        self.challenges.append(challenge)
        return self.lines.pop(0)


@pytest.mark.parametrize(
    ("argument", "lines", "challenges"),
    [
        (b"PLAIN " + b64(f"\0eve\0{SECRET}"), (), []),
        (b"plain", (b64(f"\0eve\0{SECRET}"),), [b""]),
        (b"LOGIN", (b64("eve"), b64(SECRET)), [b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"]),
        (b"login " + b64("eve"), (b64(SECRET),), [b"UGFzc3dvcmQ6"]),
    ],
)
async def test_a_sound_exchange_gives_credentials(
    argument: bytes, lines: tuple[bytes, ...], challenges: list[bytes]
) -> None:
    client = Client(*lines)
    assert await read_credentials(argument, client.ask) == Credentials("eve", SECRET)
    assert client.challenges == challenges


@pytest.mark.parametrize(
    ("argument", "lines", "answer"),
    [
        (b"PLAIN *", (), "501 5.7.0"),
        (b"PLAIN", (b"*",), "501 5.7.0"),
        (b"LOGIN", (b64("eve"), b"*"), "501 5.7.0"),
        (b"PLAIN", (None,), "501 5.7.0"),
        (b"PLAIN no-base64!", (), "501 5.5.2"),
        (b"PLAIN AGV2ZQ", (), "501 5.5.2"),
        (b"PLAIN", (b"AGV2ZQBw\r",), "501 5.5.2"),
        (b"PLAIN " + b64encode(b"\0eve\0\xff"), (), "501 5.5.2"),
        (b"PLAIN =", (), "501 5.5.4"),
        (b"PLAIN " + b64("eve\0p"), (), "501 5.5.4"),
        (b"PLAIN " + b64("\0\0p"), (), "501 5.5.4"),
        (b"PLAIN " + b64("\0eve\0"), (), "501 5.5.4"),
        (b"PLAIN " + b64("\0eve\0p\0x"), (), "501 5.5.4"),
        (b"LOGIN", (b64("eve"), b64("p\0q")), "501 5.5.4"),
        (b"LOGIN =", (b64("p"),), "501 5.5.4"),
        (b"PLAIN", (b"A" * (MAX_AUTH_OCTETS + 4),), "500 5.5.6"),
        (b"CRAM-MD5", (), "504 5.5.4"),
        (b"", (), "504 5.5.4"),
    ],
)
async def test_each_fault_has_its_reply(
    argument: bytes, lines: tuple[bytes | None, ...], answer: str
) -> None:
    reply = await read_credentials(argument, Client(*lines).ask)
    assert isinstance(reply, Reply)
    assert str(reply).startswith(answer)


async def test_the_longest_line_is_read() -> None:
    password = "x" * (MAX_AUTH_OCTETS // 4 * 3 - 5)
    line = b64(f"\0eve\0{password}")
    assert len(line) == MAX_AUTH_OCTETS
    assert await read_credentials(b"PLAIN", Client(line).ask) == Credentials("eve", password)


def test_an_identity_of_somebody_else_is_seen() -> None:
    assert Credentials("eve", "p", "manager").is_for_another
    assert not Credentials("eve", "p", "eve").is_for_another
    assert not Credentials("eve", "p").is_for_another


def test_the_password_is_not_shown() -> None:
    assert SECRET not in repr(Credentials("eve", SECRET))
