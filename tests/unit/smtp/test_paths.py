"""The arguments of MAIL and RCPT, read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.address import parse_mailbox
from smime_proxy.gateway.ports import Extensions
from smime_proxy.reply import Reply
from smime_proxy.smtp.paths import MailArgument, is_routed, read_mail, read_rcpt

ALL = Extensions()
HOST = "proxy.example.test"


def mail(argument: str | bytes, offered: Extensions = ALL) -> MailArgument | Reply:
    return read_mail(argument if isinstance(argument, bytes) else argument.encode(), offered)


def rcpt(argument: str, offered: Extensions = ALL, *, smtputf8: bool = False) -> str:
    """Give the mailbox, or code and status of the refusal."""
    path = read_rcpt(argument.encode(), HOST, offered, smtputf8=smtputf8)
    return f"{path.code} {path.enhanced}" if isinstance(path, Reply) else str(path.mailbox)


def refusal(read: MailArgument | Reply) -> str:
    assert isinstance(read, Reply)
    return f"{read.code} {read.enhanced}"


def test_mail_keeps_its_parameters_as_written() -> None:
    read = mail("FROM:<A@Example.com> Size=12 body=8BitMime SMTPUTF8")
    assert read == MailArgument(
        parse_mailbox("A@Example.com"), ("Size=12", "body=8BitMime", "SMTPUTF8"), 12, smtputf8=True
    )


def test_null_reverse_path_is_none() -> None:
    assert mail("FROM:<>") == MailArgument(None)
    assert mail("from:<> SIZE=0") == MailArgument(None, ("SIZE=0",), 0)


@pytest.mark.parametrize(
    "path",
    [
        '"a b"@example.com',
        '"a>b"@example.com',
        '"a\\"b"@example.com',
        "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "=?utf-8?q?b=40evil.org=3E?=@example.com",
        "o'brien/x=y@example.com",
        f"{'l' * 64}@example.com",
    ],
)
def test_mailboxes_pass_as_they_are(path: str) -> None:
    read = mail(f"FROM:<{path}>")
    assert isinstance(read, MailArgument)
    assert str(read.reverse_path) == path
    assert rcpt(f"TO:<{path}>") == path


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "@",
        "a@",
        "@example.com",
        "a..b@example.com",
        ".a@example.com",
        '"a@example.com',
        'a"b"@example.com',
        "a@example..com",
        "a@-.com",
        "a,b@example.com",
        f"{'l' * 65}@example.com",
        f"a@{'d' * 60}.{'e' * 60}.{'f' * 60}.{'g' * 60}.{'h' * 20}",
        f"{'l' * 64}@{'d' * 60}.{'e' * 60}.{'f' * 60}.{'g' * 10}",
        "a@example.com\x00",
        "a\rb@example.com",
    ],
)
def test_what_is_no_mailbox_is_refused(path: str) -> None:
    refused = refusal(mail(f"FROM:<{path}>"))
    assert refused in {"501 5.1.7", "501 5.5.4"}
    assert rcpt(f"TO:<{path}>") in {"501 5.1.3", "501 5.5.4", "550 5.7.1"}


@pytest.mark.parametrize(
    "argument",
    ["", "FROM:", "FROM:a@b.c", "FROM:<a@b.c", "FROM:a@b.c>", "FROM:<<a@b.c>>", "FROM:<a@b.c>x"],
)
def test_what_is_not_in_brackets_is_refused(argument: str) -> None:
    assert refusal(mail(argument)) == "501 5.5.4"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("@a.example,@b.example:c@example.com", "550 5.7.1"),
        ("@a.example:c@example.com", "550 5.7.1"),
        ("c@outside.example@example.com", "550 5.7.1"),
        ("", "501 5.1.3"),
    ],
)
def test_recipients_with_a_route_are_refused_as_relaying(path: str, answer: str) -> None:
    """A01."""
    assert rcpt(f"TO:<{path}>") == answer


@pytest.mark.parametrize(
    ("address", "routed"),
    [
        ("a%b.example@example.com", True),
        ("b.example!a@example.com", True),
        ('"a@b.example"@example.com', True),
        ('"a%b.example"@example.com', True),
        ("a+b=c@example.com", False),
    ],
)
def test_routes_in_the_local_part_are_seen(address: str, routed: bool) -> None:
    """A01."""
    assert is_routed(parse_mailbox(address)) is routed


def test_postmaster_alone_is_our_own() -> None:
    assert rcpt("TO:<postMaster>") == f"postMaster@{HOST}"
    assert rcpt("TO:<other>") == "501 5.1.3"


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    assert refusal(mail("FROM:<ä@example.com>")) == "553 5.6.7"
    assert rcpt("TO:<ä@example.com>") == "553 5.6.7"
    assert rcpt("TO:<ä@exämple.com>", smtputf8=True) == "ä@exämple.com"
    assert refusal(mail(b"FROM:<\xe4@example.com> SMTPUTF8")) == "501 5.1.7"


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ("SIZE", "501 5.5.4"),
        ("SIZE=-1", "501 5.5.4"),
        (f"SIZE={'9' * 21}", "501 5.5.4"),
        ("SIZE=1 size=1", "501 5.5.4"),
        ("BODY", "555 5.5.4"),
        ("BODY=BINARYMIME", "555 5.5.4"),
        ("SMTPUTF8=yes", "501 5.5.4"),
        ("RET=FULL", "555 5.5.4"),
        ("=x", "501 5.5.4"),
        ("-A=x", "501 5.5.4"),
        ("SIZE=1\t", "501 5.5.4"),
        ("SIZE=é", "501 5.5.4"),
    ],
)
def test_other_parameters_are_refused(parameters: str, answer: str) -> None:
    assert refusal(mail(f"FROM:<a@example.com> {parameters}")) == answer


def test_what_is_not_offered_is_not_taken() -> None:
    nothing = Extensions(eightbitmime=False, smtputf8=False)
    assert refusal(mail("FROM:<a@b.c> BODY=8BITMIME", nothing)) == "555 5.5.4"
    assert refusal(mail("FROM:<a@b.c> SMTPUTF8", nothing)) == "555 5.5.4"
    assert isinstance(mail("FROM:<a@b.c> BODY=7BIT", nothing), MailArgument)


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(argument: bytes) -> None:
    for read in (
        read_mail(b"FROM:<" + argument, ALL),
        read_mail(b"FROM:<a@b.c>" + argument, ALL),
        read_rcpt(b"TO:<" + argument, HOST, ALL, smtputf8=True),
    ):
        if isinstance(read, MailArgument) and read.reverse_path:
            assert not set("\r\n\0 ") & set(read.reverse_path.text) or '"' in read.reverse_path.text
