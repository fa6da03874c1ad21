import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.entity import Defect, Entity
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.header import MAX_HEADER_OCTETS
from smime_proxy.message.parse import MAX_MIME_DEPTH, MAX_PARTS, parse
from tests.peers import corpora

MIXED = b"""Subject: x
Content-Type: multipart/mixed; boundary="b"

preamble
--b
Content-Type: text/html

<p>
--b \t
Content-Type: multipart/alternative; boundary=bb

--bb

inner
--bb--
--b

last

--b--
epilogue
--b
""".replace(b"\n", b"\r\n")


def shape(entity: Entity) -> object:
    """Give types and bodies of leaves as nested lists."""
    if entity.is_leaf:
        return entity.content_type.full, entity.body
    return [entity.content_type.full, *map(shape, entity.children)]


def test_parts_are_spans_without_the_line_end_of_the_delimiter() -> None:
    """E34."""
    entity = parse(MIXED)
    assert bytes(entity) == MIXED
    assert shape(entity) == [
        "multipart/mixed",
        ("text/html", b"<p>"),
        ["multipart/alternative", ("text/plain", b"inner")],
        ("text/plain", b"last\r\n"),
    ]
    assert bytes(entity.children[0]) == b"Content-Type: text/html\r\n\r\n<p>"
    assert entity.defects == ()


def test_bare_lf_gives_the_same_tree() -> None:
    """E49."""
    entity = parse(MIXED.replace(b"\r\n", b"\n"))
    assert [leaf.body for leaf in entity.walk() if leaf.is_leaf] == [b"<p>", b"inner", b"last\n"]


def test_a_message_is_header_empty_line_and_body() -> None:
    entity = parse(b"A: b\r\n\r\nbody\r\n\r\nmore")
    assert bytes(entity.header) == b"A: b\r\n"
    assert entity.body == b"body\r\n\r\nmore"
    assert (entity.start, entity.header_end, entity.body_start, entity.end) == (0, 6, 8, 20)
    assert entity.content_type.full == "text/plain"


@pytest.mark.parametrize(
    ("content", "header", "body"),
    [
        (b"", b"", b""),
        (b"\r\nbody", b"", b"body"),
        (b"\nbody", b"", b"body"),
        (b"A: b\r\n", b"A: b\r\n", b""),
        (b"A: b", b"A: b", b""),
        (b"A: b\r\n c\r\n", b"A: b\r\n c\r\n", b""),
        (b"A: b\n\r\nbody", b"A: b\n", b"body"),
        (b"From x\nA: b\n\nbody", b"From x\nA: b\n", b"body"),
    ],
)
def test_the_header_ends_at_the_first_empty_line(
    content: bytes, header: bytes, body: bytes
) -> None:
    entity = parse(content)
    assert (bytes(entity.header), entity.body, entity.defects) == (header, body, ())


def test_without_an_empty_line_the_body_begins_at_the_first_line_that_is_no_field() -> None:
    entity = parse(b"A: b\r\nno field\r\nC: d\r\n")
    assert (bytes(entity.header), entity.body) == (b"A: b\r\n", b"no field\r\nC: d\r\n")
    assert entity.defects == (Defect.NO_BLANK_LINE,)


def test_a_body_without_header_beyond_the_limit_is_no_header() -> None:
    content = b"x" * MAX_HEADER_OCTETS + b"\r\n\r\nrest"
    assert parse(content).body == content


def test_lines_that_are_no_fields_are_noted() -> None:
    entity = parse(b"A: b\r\nno field\r\n\r\nbody")
    assert entity.defects == (Defect.NOT_A_FIELD,)
    assert entity.body == b"body"


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n--b--", Defect.NO_BOUNDARY),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing", Defect.NO_DELIMITER),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--bb\r\n\r\nx", Defect.NO_DELIMITER),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx", Defect.UNTERMINATED),
        (b"Content-Type: text\r\n\r\nx", Defect.BAD_CONTENT_TYPE),
        (b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\nx", Defect.SEVERAL_CONTENT_TYPES),
    ],
)
def test_broken_mime_is_noted_and_kept(content: bytes, defect: Defect) -> None:
    """E62."""
    entity = parse(content)
    assert bytes(entity) == content
    assert defect in entity.defects


def test_an_unterminated_multipart_keeps_its_last_part() -> None:
    entity = parse(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n"
    )
    assert [child.body for child in entity.children] == [b"one", b"two\r\n"]


def test_empty_parts_have_no_octets_and_no_defect() -> None:
    entity = parse(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\nA: c\n\n--b--")
    assert [bytes(child) for child in entity.children] == [b"", b"", b"A: c\n"]
    assert all(not child.defects for child in entity.children)


def test_the_delimiters_of_the_outer_multipart_count_inside_the_inner() -> None:
    entity = parse(
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n"
    )
    assert shape(entity) == [
        "multipart/mixed",
        ["multipart/mixed", ("text/plain", b"one")],
        ("text/plain", b"two"),
    ]


def test_a_delimiter_is_the_whole_line() -> None:
    entity = parse(
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bx\nx--b\n--b-\n --b\n--b x\n--b--"
    )
    assert [child.body for child in entity.children] == [b"--bx\nx--b\n--b-\n --b\n--b x"]


def test_many_lines_that_only_begin_like_a_delimiter_change_nothing() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    near = b"--bx\n" * 5_000
    entity = parse(head + near + b"--b\n\ntwo\n--b \n\nthree\n--b--\n" + near)
    assert [child.body for child in entity.children] == [near[:-1], b"two", b"three"]
    unclosed = parse(head + near + b"--b")
    assert [child.body for child in unclosed.children] == [near[:-1], b""]


def test_an_embedded_message_is_the_only_child() -> None:
    """E61."""
    inner = b"Subject: in\r\n\r\nbody"
    for kind in (b"message/rfc822", b"message/global"):
        entity = parse(b"Content-Type: " + kind + b"\r\n\r\n" + inner)
        assert [bytes(child) for child in entity.children] == [inner]
        assert entity.children[0].header.first("subject") == "in"


def test_an_encoded_embedded_message_is_a_leaf() -> None:
    entity = parse(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA=="
    )
    assert entity.is_leaf


def test_the_parts_of_a_digest_are_messages() -> None:
    entity = parse(
        b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nbody\n--b--\n"
    )
    assert entity.children[0].content_type.full == "message/rfc822"
    assert entity.children[0].children[0].header.first("subject") == "x"


def nested(depth: int) -> bytes:
    """Make messages inside messages."""
    return b"Content-Type: message/rfc822\r\n\r\n" * depth + b"A: b\r\n\r\nend"


def test_depth_is_limited() -> None:
    assert bytes(parse(nested(MAX_MIME_DEPTH))) == nested(MAX_MIME_DEPTH)
    with pytest.raises(TooComplex):
        parse(nested(MAX_MIME_DEPTH + 1))


def test_the_number_of_parts_is_limited() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n"
    assert len(parse(head + b"\r\n--b\r\n" * (MAX_PARTS - 1)).children) == MAX_PARTS - 1
    for count in (MAX_PARTS, 50_000):
        with pytest.raises(TooComplex):
            parse(head + b"\r\n--b\r\n" * count)


@pytest.mark.parametrize("content", [b"a: b\r\n" * 50_000 + b"\r\n", b"a: " + b"b" * 103_000])
def test_headers_are_limited(content: bytes) -> None:
    with pytest.raises(TooComplex):
        parse(content)


PIECES = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b"--b", b"--b--", b"--c", b" ", b"\t", b"a: b\r\n", b"x", b"\0\xff",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/digest; boundary=c\n",
        b"Content-Type: message/rfc822\r\n", b"From x\n",
    ]
)  # fmt: skip


@given(st.binary() | st.lists(PIECES, max_size=40).map(b"".join))
def test_parsing_loses_no_octet(content: bytes) -> None:
    """The law: bytes(parse(x)) == x, and parts lie in order inside their parent."""
    entity = parse(content)
    assert bytes(entity) == content
    for each in entity.walk():
        assert each.start <= each.header_end <= each.body_start <= each.end
        assert bytes(each.header) == content[each.start : each.header_end]
        position = each.body_start
        for child in each.children:
            assert position <= child.start <= child.end <= each.end
            position = child.end


@pytest.mark.corpora
def test_every_mail_of_the_collections_is_read_without_loss() -> None:
    files = [path for path in corpora("mail").rglob("*") if path.is_file()]
    assert len(files) > 1_000
    for path in files:
        content = path.read_bytes()
        assert bytes(parse(content)) == content, path
