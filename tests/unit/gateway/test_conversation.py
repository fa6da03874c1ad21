"""What has to do with decrypted mail is told by its mark, its Message-ID or what it refers to."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Role
from smime_proxy.gateway.conversation import ANSWERS, CARRIES, conversation, with_conversation
from smime_proxy.gateway.ports import MemoryUnreadable
from smime_proxy.message.parse import parse
from smime_proxy.policy.facts import Facts, MessageFacts
from smime_proxy.policy.rules import AfterDecryption, Override, Policy, Rules
from smime_proxy.smime.decrypted_mark import MarkKeys
from tests.fakes import FakeMemory, envelope, mail
from tests.unit.policy.cases import account, sender, to

KNOWN = "<secret.1@partner.example>"


def memory() -> FakeMemory:
    return FakeMemory(known={b"secret.1@partner.example"})


def said(content: bytes) -> str:
    return conversation(parse(content), memory())


def of(*more: str) -> bytes:
    return mail("alice@example.test", "x@y.org", more="".join(f"{line}\r\n" for line in more))


def mark(content: bytes, keys: MarkKeys | None = None) -> bytes:
    name, value = (keys or memory().keys).mark_of(parse(content).header)
    return f"{name}: {value}\r\n".encode() + content


def test_mail_of_no_such_conversation_has_nothing_to_do_with_it() -> None:
    assert said(of()) == ""
    assert said(of("In-Reply-To: <other@x>", "References: <a@x> <b@x>")) == ""
    assert said(b"\r\n") == ""


@pytest.mark.parametrize(
    "field",
    [
        f"In-Reply-To: {KNOWN}",
        f"References: <first@x>\r\n {KNOWN}\r\n <last@x>",
        f"X-Forwarded-Message-Id: {KNOWN}",
        f"in-reply-to : (see) {KNOWN}",
    ],
)
def test_an_answer_is_known_by_what_it_refers_to(field: str) -> None:
    assert said(of(field)) == ANSWERS


def test_what_is_sent_on_is_known_by_its_mark_or_else_by_its_message_id() -> None:
    assert said(mark(of())) == CARRIES
    lost = of().replace(b"<1@example.test>", KNOWN.encode())
    assert said(lost) == CARRIES
    assert said(mark(of(), MarkKeys.derive(b"x" * 32))) == ""
    moved = mark(of()).replace(b"<1@example.test>", b"<2@example.test>")
    assert said(moved) == ""


def test_what_carries_it_attached_is_known_by_the_mark_inside() -> None:
    whole = b"Content-Type: message/rfc822\r\n\r\n" + mark(of())
    assert said(whole) == CARRIES


def test_what_carries_it_attached_without_its_mark_is_known_by_the_message_id_inside() -> None:
    inner = of().replace(b"<1@example.test>", KNOWN.encode())
    whole = b"Content-Type: message/rfc822\r\n\r\n"
    assert said(whole + inner) == CARRIES
    assert said(whole + whole + inner) == CARRIES
    assert said(whole + of()) == ""
    # What an attached mail answers is its own affair: it came here in clear.
    assert said(whole + of(f"In-Reply-To: {KNOWN}")) == ""


def test_of_many_attached_mails_the_last_is_asked_for_too() -> None:
    """Who forwards a folder."""
    inner = of().replace(b"<1@example.test>", KNOWN.encode())
    head = b"Content-Type: multipart/digest; boundary=b\r\n\r\n"
    others = b"".join(b"--b\r\n\r\nMessage-ID: <%d@x>\r\n\r\nx\r\n" % n for n in range(150))
    assert said(head + others + b"--b--\r\n") == ""
    assert said(head + others + b"--b\r\n\r\n" + inner + b"\r\n--b--\r\n") == CARRIES


def facts(**sender_: object) -> Facts:
    return Facts(MessageFacts(), (to("x@y.org"),), sender(**sender_))  # type: ignore[arg-type]


def told(rules: Rules, role: Role = Role.OUTBOUND, given: Facts | None = None) -> str:
    content = of(f"In-Reply-To: {KNOWN}")
    one = envelope(content, "alice@example.test", "x@y.org", role=role)
    found = with_conversation(given or facts(), one, parse(content), rules, memory())
    return found.message.conversation


def test_it_is_asked_only_where_policy_wants_to_know() -> None:
    assert told(Rules()) == ANSWERS
    assert told(Rules(), Role.INBOUND) == ""
    as_any = Policy(after_decryption=AfterDecryption.POLICY)
    assert told(Rules(as_any)) == ""
    strict = Override(after_decryption=AfterDecryption.ENCRYPT)
    assert told(Rules(as_any, {"example.test": strict})) == ANSWERS
    lenient = replace(strict, after_decryption=AfterDecryption.POLICY)
    assert told(Rules(domains={"example.test": lenient})) == ""


def test_a_memory_that_cannot_be_read_is_no_answer() -> None:
    broken = FakeMemory(broken="the disk reports an error")
    content = of()
    one = envelope(content, "alice@example.test", "x@y.org")
    with pytest.raises(MemoryUnreadable):
        with_conversation(facts(), one, parse(content), Rules(), broken)


def test_of_a_from_that_names_nobody_of_ours_the_defaults_hold() -> None:
    stranger = Facts(MessageFacts(), (to("x@y.org"),), sender(None))
    assert told(Rules(), given=stranger) == ANSWERS
    several = replace(
        stranger,
        sender=replace(
            stranger.sender,
            mailbox=parse_mailbox("a@x.test"),
            named=(
                account("a@x.test", after_decryption=AfterDecryption.POLICY),
                account("b@x.test", after_decryption=AfterDecryption.ENCRYPT),
            ),
        ),
    )
    assert told(Rules(), given=several) == ANSWERS
