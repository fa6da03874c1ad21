import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.address import parse_mailbox
from smime_proxy.message.errors import FromError, TooComplex
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.mailboxes import from_mailbox, named_mailboxes, visible_mailboxes

ALICE = parse_mailbox("alice@example.test")


def header(value: str, name: str = "From") -> HeaderBlock:
    return HeaderBlock(f"{name}: {value}\r\n".encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "value",
    [
        "alice@example.test",
        "<alice@example.test>",
        "Alice <Alice@Example.test>",
        "Alice A. Liddell <alice@example.test>",
        '"Liddell, Alice" <alice@example.test>',
        "=?utf-8?q?Al=C3=ADce?= <alice@example.test>",
        "alice@example.test (Alice)",
        "(the) Alice <alice@example.test> (herself)",
        '"alice@example.test" <alice@example.test>',
        "'alice@example.test' <alice@example.test>",
        "alice@example.test <alice@example.test>",
        "=?utf-8?q?ALICE=40example.test?= <alice@example.test>",
        "Al\u00edce <alice@example.test>",
        "Al\udced <alice@example.test>",
        "Alice\r\n <alice@example.test>",
        '"alice"@example.test',
    ],
)
def test_one_clean_mailbox_is_the_sender(value: str) -> None:
    """E03."""
    assert from_mailbox(header(value)) == ALICE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Alice",
        "<>",
        "eve@x.org <alice@example.test>",
        '"eve@x.org" <alice@example.test>',
        "Alice (eve@x.org) <alice@example.test>",
        "alice@example.test (eve@x.org)",
        "alice@example.test, eve@x.org",
        "Liddell, Alice <alice@example.test>",
        "<alice@example.test> <eve@x.org>",
        "<alice@example.test> eve",
        "alice@example.test eve",
        "team: alice@example.test;",
        "alice@example.test;",
        "<@x.org:alice@example.test>",
        "<alice@example.test",
        "<alice@example.test,",
        "alice@example.test>",
        "<<alice@example.test>>",
        "alice @example.test",
        "alice@ example.test",
        "alice@example .test",
        "alice(x)@example.test",
        "<alice@example.test(x)>",
        "< alice@example.test>",
        "alice@example.test@x.org",
        "alice@x.org\0@example.test",
        "alice\0@example.test",
        "=?utf-8?q?alice?=@example.test",
        "=?utf-8?q?eve=40x.org?= <alice@example.test>",
        "=?utf-8?b?ZXZlQHgub3Jn?= <alice@example.test>",
        '"=?utf-8?q?eve=40x.org?=" <alice@example.test>',
        "=?utf-7?q?eve+AEA-x.org?= <alice@example.test>",
        "=?utf-8?q?eve=EF=BC=A0x.org?= <alice@example.test>",
        "=?x-unknown?q?eve?= <alice@example.test>",
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Feve=3D40x=3F=3D?= <alice@example.test>",
        "=?utf-8?q?eve=40x.org <alice@example.test>",
        '"eve\\@x.org" <alice@example.test>',
        '"Alice <alice@example.test>',
        "Alice (open <alice@example.test>",
        "Alice \\ <alice@example.test>",
        "Alice [x] <alice@example.test> [y]",
        "eve\uff20x.org <alice@example.test>",
        "alice@-example.test",
        "(" * 30 + "alice@example.test" + ")" * 30,
    ],
)
def test_anything_else_is_no_sender_to_rely_on(value: str) -> None:
    """E03, M7."""
    with pytest.raises(FromError) as caught:
        from_mailbox(header(value))
    assert caught.value.reason.isascii()


def test_exactly_one_from_field_counts() -> None:
    """E03."""
    with pytest.raises(FromError, match="no From"):
        from_mailbox(HeaderBlock(b"Sender: alice@example.test\r\n"))
    with pytest.raises(FromError, match="several"):
        from_mailbox(HeaderBlock(b"From: alice@example.test\r\nfrom : alice@example.test\r\n"))


def visible(value: str) -> set[str]:
    return {mailbox.key for mailbox in visible_mailboxes(header(value, "To"))}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@x.org, B <B@x.org>", {"a@x.org", "b@x.org"}),
        ("team: a@x.org, B <b@x.org>;, c@x.org", {"a@x.org", "b@x.org", "c@x.org"}),
        ("undisclosed-recipients:;", set()),
        ('"a@x.org" <b@x.org>', {"b@x.org"}),
        ("(a@x.org) b@x.org", {"b@x.org"}),
        ("a @x.org, b@x.org", {"b@x.org"}),
        ("a@x.org b@x.org, c@x.org", {"c@x.org"}),
        ('a@x.org, "open <b@x.org>', {"a@x.org"}),
        ("", set()),
    ],
)
def test_visible_is_only_what_is_named_beyond_doubt(value: str, expected: set[str]) -> None:
    """E20."""
    assert visible(value) == expected


def test_to_and_cc_are_visible_and_bcc_is_not() -> None:
    """E20."""
    block = HeaderBlock(b"To: a@x.org\r\nCC: b@x.org\r\nBcc: c@x.org\r\nTo: d@x.org\r\n")
    assert {mailbox.key for mailbox in visible_mailboxes(block)} == {
        "a@x.org",
        "b@x.org",
        "d@x.org",
    }


@pytest.mark.parametrize(
    "value",
    [
        "alice@example.test",
        "eve@x.org <alice@example.test>",
        "alice@example.test <eve@x.org>",
        '"alice@example.test" <eve@x.org>',
        "eve@x.org (alice@example.test)",
        "=?utf-8?q?alice=40example.test?= <eve@x.org>",
        "team: eve@x.org, alice@example.test;",
        "alice @ example . test",
        "alice(x)@example.test",
        "alice@example(x).test",
        '"al\\ice"@example.test',
        '"alice" @ example.test',
        "<@x.org:alice@example.test>",
        "eve@x.org@alice@example.test",
        "'alice@example.test'",
        "alice\uff20example.test",
        '"open alice@example.test',
        "(open alice@example.test",
        "alice@example.test.",
        "alice\x00@example.test",
        "ali\u00adce@exam\u200bple.test",
    ],
)
def test_every_address_a_field_could_mean_is_named(value: str) -> None:
    assert ALICE in named_mailboxes(header(value))


def test_an_apostrophe_belongs_to_an_address() -> None:
    keys = {mailbox.key for mailbox in named_mailboxes(header("x <o'neil@x.org>"))}
    assert keys == {"o'neil@x.org"}


def test_all_fields_of_the_names_asked_for_are_looked_at() -> None:
    block = HeaderBlock(b"From: a@x.org\r\nFrom: b@x.org\r\nSender: c@x.org\r\nTo: d@x.org\r\n")
    keys = {mailbox.key for mailbox in named_mailboxes(block, ("from", "sender"))}
    assert keys == {"a@x.org", "b@x.org", "c@x.org"}


def test_too_many_addresses_are_refused_and_not_ignored() -> None:
    many = ", ".join(f"u{number}@x.org" for number in range(5_000))
    for read in (named_mailboxes, visible_mailboxes):
        with pytest.raises(TooComplex):
            read(header(many, "From"), ("from",))
    with pytest.raises(FromError):
        from_mailbox(header(many))


@given(st.text(alphabet='aé <>@.,;:"\\()[]=?utf-8q\0', max_size=50))
def test_reading_raises_only_its_own_errors_and_strict_is_part_of_lenient(value: str) -> None:
    block = header(value)
    named = named_mailboxes(block)
    try:
        sender = from_mailbox(block)
    except FromError:
        return
    assert sender in named
    assert sender in visible_mailboxes(block, ("from",))


def test_a_field_of_opening_quotes_costs_no_more_than_its_length() -> None:
    """E91: with a search from each quote to the end this would go on for minutes."""
    assert named_mailboxes(header('"\\' * 49_000)) == frozenset()
    assert ALICE in named_mailboxes(header('"open "alice"@example.test'))
