"""Identifiers are found however they are written, and never more than may be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.message_ids import (
    MAX_OCTETS,
    MAX_OWN,
    MAX_REFERENCES,
    own_identifiers,
    referenced_identifiers,
)


def header(*lines: str) -> HeaderBlock:
    return HeaderBlock("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "line",
    [
        "Message-ID: <a.1@x.org>",
        "message-id:<a.1@x.org>",
        "Message-ID : <a.1@x.org>",
        "Message-ID:\r\n\t<a.1@x.org>",
        "Message-ID: <a.1@\r\n x.org>",
        "Message-ID: < a.1@x.org >",
        "Message-ID: a.1@x.org",
        "Message-ID: <a.1@x.org> (added by the relay)",
        "Message-ID: (for) <a.1@x.org>",
        "Message-ID: =?utf-8?q?=3Ca=2E1=40x=2Eorg=3E?=",
    ],
)
def test_one_identifier_however_it_is_written(line: str) -> None:
    assert b"a.1@x.org" in own_identifiers(header("From: a@x.org", line))


def test_upper_case_is_another_identifier_and_octets_stay() -> None:
    assert own_identifiers(header("Message-ID: <A@X>")) == (b"A@X",)
    assert own_identifiers(header("Message-ID: <\udcff@x>")) == (b"\xff@x",)


def test_none_several_and_huge_ones() -> None:
    assert own_identifiers(header("From: a@x.org")) == ()
    assert own_identifiers(header("Message-ID:", "Message-ID: <>", "Message-ID: < >")) == ()
    assert own_identifiers(header("Message-ID: <1@x>", "Message-ID: <2@x>")) == (b"1@x", b"2@x")
    many = [f"Message-ID: <{number}@x>" for number in range(MAX_OWN + 1)]
    assert len(own_identifiers(header(*many))) == MAX_OWN
    assert own_identifiers(header(f"Message-ID: <{'a' * MAX_OCTETS}>")) == (b"a" * MAX_OCTETS,)
    assert own_identifiers(header(f"Message-ID: <{'a' * (MAX_OCTETS + 1)}>")) == ()


def test_what_is_in_a_comment_is_read_by_some_and_counts() -> None:
    assert own_identifiers(header("Message-ID: (<1@x>) <2@x>")) == (b"1@x", b"2@x")


def test_references_of_all_fields_that_name_some() -> None:
    found = referenced_identifiers(
        header(
            "Message-ID: <own@x>",
            'In-Reply-To: Your message of "today" <1@x>',
            "References: <2@x>\r\n\t<3@x> <1@x>",
            "X-Forwarded-Message-Id: <4@x>",
            "References: <5@x>",
        )
    )
    assert found[0] == b"1@x"
    assert sorted(found) == [b"1@x", b"2@x", b"3@x", b"4@x", b"5@x"]


def test_of_many_references_the_newest_are_read() -> None:
    chain = " ".join(f"<{number}@x>" for number in range(5000))
    found = referenced_identifiers(header(f"References: {chain}", "In-Reply-To: <answered@x>"))
    assert len(found) == MAX_REFERENCES
    assert {b"answered@x", b"4999@x", b"4950@x"} <= set(found)
    assert b"0@x" not in found
    many = referenced_identifiers(header(f"In-Reply-To: {chain}", "References: <r@x>"))
    assert len(many) == MAX_REFERENCES


@given(st.text(st.sampled_from(list('<>@ab() \t=?.\\"')), max_size=200))
def test_anything_is_read_without_raising_and_without_brackets(value: str) -> None:
    block = header(f"Message-ID: {value}", f"References: {value}")
    for found in (*own_identifiers(block), *referenced_identifiers(block)):
        assert not set(found) & set(b"<> \t")
        assert 0 < len(found) <= MAX_OCTETS
