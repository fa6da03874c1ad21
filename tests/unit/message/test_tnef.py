import struct
import sys
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smime_proxy.message.entity import decode_octets
from smime_proxy.message.parse import parse
from smime_proxy.message.tnef import MAX_NUMBERS, message_class
from tests import tnef
from tests.peers import corpora

OLD = "IPM.Microsoft Schedule.MtgReq"
NEW = "IPM.Schedule.Meeting.Request"
NOTE = "IPM.Microsoft Mail.Note"

WIDTHS = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 0x14: 8, 0x40: 8, 0x48: 16}
OTHERS = (
    tnef.tag(0x0001, 0x3000),
    *(tnef.tag(kind, 0x3001) + bytes(width) for kind, width in WIDTHS.items()),
    *(
        tnef.tag(kind | 0x1000, 0x3002) + struct.pack("<I", 3) + bytes(3 * width)
        for kind, width in WIDTHS.items()
    ),
    tnef.tag(0x1001, 0x3000) + struct.pack("<I", 0xFFFFFFFF),
    tnef.tag(tnef.STRING8, 0x0037) + tnef.counted(b"Lunch\0"),
    tnef.tag(tnef.UNICODE, 0x0037) + tnef.counted(b"L\0\0\0"),
    tnef.tag(tnef.BINARY, 0x0065) + tnef.counted(b""),
    tnef.tag(0x000D, 0x3701) + tnef.counted(bytes(16) + b"object"),
    tnef.tag(0x101E, 0x3003) + tnef.counted(b"one\0", b"", b"three\0"),
    tnef.tag(0x1102, 0x3003) + tnef.counted(),
    tnef.tag(3, 0x8000, 0x8205) + bytes(4),
    tnef.tag(tnef.UNICODE, 0x8001, "Key") + tnef.counted(b"v\0\0\0"),
    tnef.tag(0x1003, 0x8002, "Keys!") + struct.pack("<I", 2) + bytes(8),
    tnef.tag(tnef.UNICODE, 0x801A, 0x24) + tnef.counted("IPM.Appointment\0".encode("utf-16-le")),
    # Neither of these is a text, so neither is the class.
    tnef.tag(3, tnef.CLASS_PROPERTY) + b"IPM.",
    tnef.tag(tnef.BINARY, tnef.CLASS_PROPERTY) + tnef.counted(b"IPM.Note\0"),
)


def sample() -> bytes:
    return tnef.stream(
        tnef.class_attribute(OLD),
        tnef.attribute(tnef.SUBJECT, b"Lunch\0"),
        tnef.properties(*OTHERS, tnef.class_property(NEW)),
        tnef.attribute(tnef.ATTACHMENT_DATA, b"data", tnef.ATTACHMENT),
    )


@pytest.mark.parametrize("name", [OLD, NEW, NOTE, "x"])
def test_the_attribute_names_the_class(name: str) -> None:
    """E25."""
    subject = tnef.attribute(tnef.SUBJECT, b"Lunch\0")
    assert message_class(tnef.stream(subject, tnef.class_attribute(name))) == name


@pytest.mark.parametrize("kind", [tnef.STRING8, tnef.UNICODE])
def test_the_property_names_the_class(kind: int) -> None:
    """E25."""
    assert message_class(tnef.stream(tnef.properties(tnef.class_property(NEW, kind)))) == NEW


@pytest.mark.parametrize("other", OTHERS)
def test_properties_of_every_kind_are_passed(other: bytes) -> None:
    raw = tnef.stream(tnef.properties(other, tnef.class_property(NEW)))
    assert message_class(raw) == NEW


@given(st.lists(st.sampled_from(OTHERS)))
def test_the_class_is_found_behind_any_properties(others: list[bytes]) -> None:
    raw = tnef.stream(tnef.properties(*others, tnef.class_property(NEW)))
    assert message_class(memoryview(raw)) == NEW


@pytest.mark.parametrize("first", [True, False])
def test_the_property_comes_before_the_attribute(first: bool) -> None:
    one, two = tnef.class_attribute(NOTE), tnef.properties(tnef.class_property(NEW))
    assert message_class(tnef.stream(*((one, two) if first else (two, one)))) == NEW


def test_the_attribute_counts_where_no_property_names_the_class() -> None:
    assert message_class(tnef.stream(tnef.class_attribute(OLD), tnef.properties(*OTHERS))) == OLD


def test_the_class_of_an_attached_message_is_not_that_of_the_message() -> None:
    """MS-OXTNEF 2.1.3.5."""
    inner = tnef.stream(tnef.class_attribute(OLD))
    raw = tnef.stream(
        tnef.attribute(tnef.MESSAGE_CLASS, OLD.encode(), tnef.ATTACHMENT),
        tnef.attribute(tnef.PROPERTIES, b"\1\0\0\0" + tnef.class_property(NEW), tnef.ATTACHMENT),
        tnef.attribute(tnef.ATTACHMENT_PROPERTIES, b"\1\0\0\0" + tnef.class_property(NEW)),
        tnef.attribute(tnef.ATTACHMENT_DATA, inner, tnef.ATTACHMENT),
    )
    assert message_class(raw) is None
    assert message_class(raw + tnef.class_attribute(NOTE)) == NOTE


def test_wrong_checksums_are_passed_over() -> None:
    raw = tnef.stream(tnef.class_attribute(NOTE)[:-2] + b"\xff\xff", tnef.class_attribute(OLD))
    assert message_class(raw) == OLD


def test_a_text_ends_at_its_nul_or_with_its_value() -> None:
    assert message_class(tnef.stream(tnef.attribute(tnef.MESSAGE_CLASS, b"IPM\0x\0"))) == "IPM"
    assert message_class(tnef.stream(tnef.attribute(tnef.MESSAGE_CLASS, b"IPM"))) == "IPM"


def test_the_first_of_several_values_counts() -> None:
    written = tnef.tag(tnef.STRING8, tnef.CLASS_PROPERTY) + tnef.counted(b"IPM\0", b"x\0")
    assert message_class(tnef.stream(tnef.properties(written))) == "IPM"


def test_any_code_page_is_read() -> None:
    assert message_class(tnef.stream(tnef.attribute(tnef.MESSAGE_CLASS, b"IPM.\xe9\0"))) == "IPM.é"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x78\x9f\x3e",
        struct.pack("<IH", tnef.SIGNATURE, 7),
        b"\x22\x3e\x9f\x78" + tnef.stream(tnef.class_attribute(OLD))[4:],
        tnef.stream(),
        tnef.stream(tnef.class_attribute("")),
        tnef.stream(tnef.attribute(0, b"", 3), tnef.class_attribute(OLD)),
        tnef.stream(tnef.class_attribute(OLD)[:-3]),
        tnef.stream(struct.pack("<BII", 1, tnef.SUBJECT, 0xFFFFFFFF), tnef.class_attribute(OLD)),
        tnef.stream(tnef.properties(tnef.tag(0x00FF, 1), tnef.class_property(NEW))),
        tnef.stream(tnef.properties(tnef.class_property(NEW)[:-2])),
        tnef.stream(
            tnef.properties(
                tnef.tag(0x1048, 1) + struct.pack("<I", 0xFFFFFFFF), tnef.class_property(NEW)
            )
        ),
        tnef.stream(tnef.attribute(tnef.PROPERTIES, bytes(4) + tnef.class_property(NEW))),
        tnef.stream(tnef.attribute(tnef.PROPERTIES, b"\1")),
    ],
)
def test_where_no_class_can_be_read_there_is_none(raw: bytes) -> None:
    assert message_class(raw) is None


def test_what_stands_before_a_fault_counts() -> None:
    broken = tnef.attribute(tnef.PROPERTIES, b"\xff" * 4)
    raw = tnef.stream(tnef.class_attribute(OLD), broken, tnef.class_attribute(NOTE))
    assert message_class(raw) == OLD
    assert message_class(tnef.stream(tnef.class_attribute(OLD)) + b"\1") == OLD


def test_cut_off_anywhere_the_class_is_what_was_there() -> None:
    raw = sample()
    found = [message_class(raw[:end]) for end in range(len(raw) + 1)]
    seen = list(dict.fromkeys(found))
    assert seen == [None, OLD, NEW]
    assert found == sorted(found, key=seen.index)


@given(st.binary(max_size=400))
def test_any_octets_are_read_without_a_fault(raw: bytes) -> None:
    for octets in (raw, struct.pack("<IH", tnef.SIGNATURE, 0) + raw):
        assert isinstance(message_class(octets), str | None)
    properties = tnef.attribute(tnef.PROPERTIES, raw)
    assert isinstance(message_class(tnef.stream(properties)), str | None)


@given(st.data())
def test_changed_samples_are_read_without_a_fault(data: st.DataObject) -> None:
    raw = bytearray(sample())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=8)):
        raw[place] = data.draw(st.sampled_from((0, 1, 0x10, 0x7F, 0x80, 0xFF)))
    assert isinstance(message_class(bytes(raw)), str | None)


@given(st.text(st.characters(codec="utf-16-le"), min_size=1, max_size=20))
@example("\ud7ff")
def test_foreign_texts_are_read_without_a_fault(name: str) -> None:
    written = tnef.tag(tnef.UNICODE, tnef.CLASS_PROPERTY) + tnef.counted(name.encode("utf-16-le"))
    assert message_class(tnef.stream(tnef.properties(written))) == (name.partition("\0")[0] or None)
    half = tnef.tag(tnef.UNICODE, tnef.CLASS_PROPERTY) + tnef.counted(b"x\0\xd8")
    assert message_class(tnef.stream(tnef.properties(half))) == "x\ufffd"


def steps(raw: bytes) -> int:
    """Count what is called while the class is looked for."""
    counted = 0

    def count(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal counted
        counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        message_class(raw)
    finally:
        sys.setprofile(before)
    return counted


LARGE = {
    "attributes": lambda count: tnef.stream(*[tnef.attribute(0, b"")] * count),
    "attachments": lambda count: tnef.stream(*[tnef.attribute(0, b"", 2)] * count),
    "properties": lambda count: tnef.stream(tnef.properties(*[tnef.tag(1, 1)] * count)),
    "names": lambda count: tnef.stream(tnef.properties(*[tnef.tag(1, 0x8000, "n")] * count)),
    "values": lambda count: tnef.stream(
        tnef.properties(tnef.tag(0x101E, 1) + tnef.counted(*[b""] * count))
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_the_steps_grow_as_the_octets_do(kind: str) -> None:
    few, many = steps(LARGE[kind](200)), steps(LARGE[kind](800))
    assert few > 200
    assert many < 4 * few


@pytest.mark.parametrize("kind", LARGE)
def test_the_steps_end_at_a_limit(kind: str) -> None:
    many, twice = steps(LARGE[kind](MAX_NUMBERS)), steps(LARGE[kind](2 * MAX_NUMBERS))
    assert many == twice


def test_what_stands_within_the_limit_counts() -> None:
    few = [tnef.tag(1, 1)] * (MAX_NUMBERS // 2 - 3)
    assert message_class(tnef.stream(tnef.properties(*few, tnef.class_property(NEW)))) == NEW
    many = [tnef.tag(1, 1)] * (MAX_NUMBERS // 2)
    assert message_class(tnef.stream(tnef.properties(*many, tnef.class_property(NEW)))) is None


def test_of_several_sets_of_properties_the_first_counts() -> None:
    again = tnef.properties(tnef.class_property(NEW))
    assert message_class(tnef.stream(tnef.properties(*OTHERS), again)) is None


@pytest.mark.parametrize(
    "written",
    [
        tnef.tag(0x1001, 1) + struct.pack("<I", 0xFFFFFFFF),
        tnef.tag(0x1048, 1) + struct.pack("<I", 0xFFFFFFFF),
        tnef.tag(0x1102, 1) + struct.pack("<I", 0xFFFFFFFF),
        tnef.tag(0x0102, 1) + struct.pack("<II", 1, 0xFFFFFFFF),
        tnef.tag(1, 0x8000)[:-8] + struct.pack("<II", 1, 0xFFFFFFFF),
    ],
)
def test_large_numbers_alone_cost_nothing(written: bytes) -> None:
    value = struct.pack("<I", 0xFFFFFFFF) + written
    assert steps(tnef.stream(tnef.attribute(tnef.PROPERTIES, value))) < 200


ROUNDCUBE = {
    "body.tnef": "IPM.Note",
    "one-file.tnef": NOTE,
    "winmail-10193.tnef": "IPM.Note",
    "tnef1.eml": NOTE,
    "tnef2.eml": "IPM.Note",
    "tnef3.eml": NOTE,
}


@pytest.mark.corpora
def test_the_tnef_of_other_projects_is_read() -> None:
    """E25: by file name."""
    root = corpora("mail", "roundcube", "tests")
    found = {path.name: message_class(path.read_bytes()) for path in root.rglob("*.tnef")}
    for path in root.rglob("tnef*.eml"):
        for leaf in parse(path.read_bytes()).walk():
            if leaf.content_type.full == "application/ms-tnef":
                octets = decode_octets(leaf.body, leaf.transfer_encoding)
                found[path.name] = message_class(octets)
    assert found == ROUNDCUBE
