import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.address import AddressError, Mailbox, fold_domain, parse_mailbox


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Alice@Example.TEST", "alice@example.test"),
        ("a.b+c@x.org", "a.b+c@x.org"),
        ('"joe"@x.org', "joe@x.org"),
        ('"jo\\e"@x.org', "joe@x.org"),
        ('"A b"@x.org', '"a b"@x.org'),
        ('"a@b"@x.org', '"a@b"@x.org'),
        ('"q\\"q"@x.org', '"q\\"q"@x.org'),
        ("a@münchen.example", "a@xn--mnchen-3ya.example"),
        ("a@MÜNCHEN.example", "a@xn--mnchen-3ya.example"),
        ("Üser@x.org", "Üser@x.org"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[IPv6:2001:DB8::0001]", "a@[ipv6:2001:db8::1]"),
        ("a@localhost", "a@localhost"),
        ("a@under_score.example", "a@under_score.example"),
    ],
)
def test_a_mailbox_is_folded_for_comparison_and_kept_as_written(text: str, key: str) -> None:
    mailbox = parse_mailbox(text)
    assert mailbox.key == key
    assert str(mailbox) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@x.org",
        "a@",
        "a@x..org",
        "a@x.org.",
        "a@-x.org",
        "a@x-.org",
        ".a@x.org",
        "a.@x.org",
        "a..b@x.org",
        "a b@x.org",
        "a@x.org ",
        " a@x.org",
        "a@x.org\r\n",
        "a@x.org\0",
        "a\0@x.org",
        "<a@x.org>",
        "a@b@x.org",
        '"a"b@x.org',
        '"a@x.org',
        "a@[192.0.2.256]",
        "a@[192.0.2.1",
        "a@[IPv6:::g]",
        "a@[x]",
        "a@xn--\udc80.org",
        "a\udc80@x.org",
        "a" * 65 + "@x.org",
        "a@" + "b." * 130 + "org",
        "a@" + "b" * 64 + ".org",
        "a@" + "ü" * 300,
    ],
)
def test_what_is_no_mailbox_is_refused(text: str) -> None:
    """E05."""
    with pytest.raises(AddressError):
        parse_mailbox(text)


@pytest.mark.parametrize(
    "text",
    [
        "a@[IPv6:fe80::1%\r\nRCPT TO:<x>]",
        "a@[IPv6:fe80::1%eth0]",
        "a\u0085b@x.org",
        "a\u00a0b@x.org",
        "a\u2028b@x.org",
        "\u202ea@x.org",
        '"\u0000"@x.org',
    ],
)
def test_nothing_unprintable_hides_in_an_address(text: str) -> None:
    """E05: zone indices, C1 controls, odd spaces and direction marks."""
    with pytest.raises(AddressError):
        parse_mailbox(text)


def test_mailboxes_are_equal_when_their_folded_forms_are() -> None:
    assert parse_mailbox("A@X.org") == parse_mailbox("a@x.ORG")
    assert len({parse_mailbox("A@X.org"), parse_mailbox("a@x.ORG")}) == 1
    assert parse_mailbox("a+b@x.org") != parse_mailbox("a@x.org")


def test_a_mailbox_gives_its_parts() -> None:
    mailbox = parse_mailbox('"A@b"@X.ORG')
    assert mailbox.local == '"A@b"'
    assert mailbox.domain == "x.org"
    assert mailbox.is_ascii
    assert not parse_mailbox("ü@x.org").is_ascii


def test_a_domain_is_folded_to_lower_case_a_labels() -> None:
    assert fold_domain("BÜCHER.Example") == "xn--bcher-kva.example"
    with pytest.raises(AddressError):
        fold_domain("a b")


@given(st.text(max_size=40))
def test_reading_raises_only_its_own_error(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert isinstance(mailbox, Mailbox)
    assert mailbox.text == text
    assert text.isprintable()
    assert parse_mailbox(mailbox.key) == mailbox


def test_the_exact_form_keeps_the_local_part_and_folds_the_domain() -> None:
    assert parse_mailbox("Hugh.X@Example.ORG").exact == "Hugh.X@example.org"
    assert parse_mailbox('"hugh"@bücher.example').exact == '"hugh"@xn--bcher-kva.example'


def test_a_plus_tag_is_dropped_where_there_is_one() -> None:
    """E75."""
    bare = {
        "Alice+a+b@X.org": "alice@x.org",
        '"team+x"@x.org': "team@x.org",
        "alice@x.org": None,
        "+x@x.org": None,
        '"al ice+"@x.org': None,
    }
    for text, wanted in bare.items():
        found = parse_mailbox(text).untagged
        assert (found and found.key) == wanted
