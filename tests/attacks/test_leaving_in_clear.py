"""Decrypted mail that tries to get out: what clients, mail stores and partners do to it on the way.

E13; complaints 17 and 25 of users. Whatever is done, the text leaves encrypted or not at all.
"""

import re
from collections.abc import Callable

import pytest

from smime_proxy.envelope import Role
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Encrypt, Policy
from tests.fakes import FakeMemory, World, mail
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, TEAM, send, world
from tests.unit.smime.cases import enveloped, message

SECRET = b"attack at dawn"
ID = "<secret.1@partner.example>"


async def arrived(named: str = f"Message-ID: {ID}\r\n") -> tuple[World, bytes]:
    """Bring an encrypted mail in; gives the surroundings, and what alice's mail store holds."""
    surroundings = world(Policy(encrypt=Encrypt.NEVER))
    surroundings.memory = FakeMemory()
    part = b"Content-Type: text/plain\r\n\r\n" + SECRET + b"\r\n"
    sealed = message(enveloped(part, "alice"), PARTNER, named)
    assert (await send(surroundings, sealed, PARTNER, ALICE, role=Role.INBOUND)).code == 250
    (got,) = surroundings.inside.sent
    return surroundings, got.content


def answer(*more: str, who: str = ALICE) -> bytes:
    fields = "".join(f"{line}\r\n" for line in more)
    return mail(who, STRANGER, body=f"> {SECRET.decode()}\r\n", more=fields)


def without_mark(delivered: bytes) -> bytes:
    lines = delivered.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"X-SMIME-Decrypted"))


def of_others(delivered: bytes) -> bytes:
    head = f"From: {STRANGER}\r\nSubject: Fwd\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + delivered + b"\r\n--b--\r\n"
    return head.encode() + part


WAYS: list[Callable[[bytes], bytes]] = [
    lambda delivered: delivered,
    without_mark,
    lambda delivered: b"Resent-From: x@y.org\r\nX-SMIME-Encrypt: yes\r\n" + delivered,
    lambda delivered: b"X-SMIME-Decrypted: v=1; h=AAAAAAAAAAAAAAAAAAAAAA\r\n" + delivered,
    lambda delivered: delivered.replace(b"X-SMIME-Decrypted", b"x-smime-DECRYPTED "),
    of_others,
    lambda delivered: of_others(of_others(delivered)),
    lambda delivered: of_others(without_mark(delivered)),
    lambda _: answer(f"In-Reply-To: {ID}"),
    lambda _: answer(f"In-Reply-To:{ID}", "Subject: [plain] x"),
    lambda _: answer(f"References: <a@x>\r\n\t{ID[:9]}\r\n {ID[9:]}"),
    lambda _: answer("References: " + " ".join(f"<{n}@x>" for n in range(500)) + f" {ID}"),
    lambda _: answer(f"In-Reply-To: Your mail {ID} of today"),
    lambda _: answer(f"In-Reply-To: {ID[1:-1]}"),
    lambda _: answer("In-Reply-To: =?us-ascii?q?=3Csecret=2E1=40partner=2Eexample=3E?="),
    lambda _: answer("In-Reply-To: <other@x>", f"In-Reply-To: {ID}"),
    lambda _: answer(f"X-Forwarded-Message-Id: {ID}"),
    lambda _: answer(f"In-Reply-To: {ID}", "X-SMIME-Encrypt: yes"),
    lambda _: answer(f"In-Reply-To: {ID}", "Auto-Submitted: auto-replied", who=BOB),
    lambda _: answer(f"In-Reply-To: {ID}", who=TEAM),
    lambda _: answer(f"In-Reply-To: {ID}", who=f"{ALICE}, {BOB}"),
    lambda _: answer(f"In-Reply-To: {ID}", who="MAILER-DAEMON@mailstore.example"),
    lambda _: answer(f"In-Reply-To: {ID}", who="no mailbox at all"),
]


@pytest.mark.parametrize("sender", [None, PARTNER, ALICE])
@pytest.mark.parametrize("way", WAYS)
async def test_the_text_leaves_encrypted_or_not_at_all(
    way: Callable[[bytes], bytes], sender: str | None
) -> None:
    surroundings, delivered = await arrived()
    assert SECRET in delivered
    content = way(delivered)
    reply = await send(surroundings, content, sender, STRANGER)
    assert (reply.code, reply.enhanced[:4]) == (550, "5.7.")
    assert surroundings.outside.sent == []
    if TEAM.encode() in content:
        return
    assert (await send(surroundings, content, sender, PARTNER)).code == 250
    assert not any(SECRET in sent.content for sent in surroundings.outside.sent)


@pytest.mark.parametrize(
    "named",
    [
        "",
        "Message-ID:\r\n",
        "Message-ID: <>\r\n",
        "Message-ID: a.b@x\r\n",
        "Message-ID: <a b@x>\r\n",
        "Message-ID: <a@x\r\n",
        "Message-ID: <a@x> <b@x>\r\n",
        "Message-ID: <=?us-ascii?q?a?=@x>\r\n",
        "Message-ID: <\u00fc@x>\r\n",
        f"Message-ID: <{'a' * 255}@x>\r\n",
        "Message-ID\r\n : <a@x>\r\n",
        "".join(f"Message-ID: <{number}@x>\r\n" for number in range(6)),
        "Message-ID: <a@x>\r\nMessage-ID\r\n : <b@x>\r\n",
    ],
)
async def test_an_answer_to_mail_whose_message_id_nobody_could_quote_is_known_too(
    named: str,
) -> None:
    """Whoever sends a ciphertext on leaves it out, and is answered with the text."""
    surroundings, delivered = await arrived(named)
    header = parse(delivered).header
    (identifier,) = header.find("message-id")
    assert not any(line.unfolded_name == "message-id" for line in header.find(""))
    assert re.fullmatch(r"<[A-Za-z0-9_-]{22}@proxy\.example\.test>", identifier.value)
    reply = await send(surroundings, answer(f"In-Reply-To: {identifier.value}"), ALICE, STRANGER)
    assert (reply.code, reply.enhanced) == (550, "5.7.5")
    reply = await send(surroundings, without_mark(delivered), ALICE, STRANGER)
    assert (reply.code, reply.enhanced) == (550, "5.7.5")


@pytest.mark.parametrize(
    "named",
    [f"Message-ID: {ID}\r\n", f"message-id :\r\n {ID} (by relay)\r\n", f"Message-ID:{ID}\r\n"],
)
async def test_a_message_id_that_programs_agree_about_stays(named: str) -> None:
    _, delivered = await arrived(named)
    assert [field.raw for field in parse(delivered).header.find("message-id")] == [named.encode()]


async def test_other_mail_is_not_held_up() -> None:
    surroundings, _ = await arrived()
    for content in (answer(), answer("In-Reply-To: <other@x>")):
        assert (await send(surroundings, content, ALICE, STRANGER)).code == 250
    assert len(surroundings.outside.sent) == 2


async def test_a_stranger_cannot_make_a_mail_look_like_one_that_was_decrypted() -> None:
    """The mark of one mail on another, sent to us and forwarded by alice."""
    surroundings, delivered = await arrived()
    mark = next(one for one in delivered.split(b"\r\n") if one.startswith(b"X-SMIME-Decrypted"))
    forged = mark + b"\r\n" + mail(STRANGER, ALICE)
    reply = await send(surroundings, of_others(forged), ALICE, STRANGER)
    assert reply.code == 250
