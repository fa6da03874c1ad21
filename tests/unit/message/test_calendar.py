import base64

import pytest

from smime_proxy.message.calendar import (
    CONTENT_CLASS,
    MAX_TNEF_OCTETS,
    MAX_TNEF_PARTS,
    meeting_method,
)
from smime_proxy.message.parse import parse
from tests import tnef
from tests.peers import corpora


def calendar(method: bytes = b"REQUEST") -> bytes:
    return (
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:" + method + b"\r\nBEGIN:VEVENT\r\n"
        b"DESCRIPTION:METHOD:none\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def part(fields: bytes, body: bytes) -> bytes:
    return fields + b"\r\n\r\n" + body


def multipart(kind: bytes, *parts: bytes) -> bytes:
    boundary = b"=_" + kind
    body = b"".join(b"--" + boundary + b"\r\n" + each + b"\r\n" for each in parts)
    fields = b"Content-Type: multipart/" + kind + b"; boundary=" + boundary
    return part(fields, body + b"--" + boundary + b"--\r\n")


TEXT = part(b"Content-Type: text/plain", b"Please come.")
WITH = part(b'Content-Type: text/calendar; Method="request"', calendar())
BARE = part(b"Content-Type: TEXT/Calendar; charset=utf-8", calendar())
EMBEDDED = part(b"Content-Type: message/rfc822", WITH)


@pytest.mark.parametrize(
    "content",
    [
        WITH,
        BARE,
        multipart(b"alternative", TEXT, WITH),
        multipart(b"alternative", TEXT, BARE),
        multipart(b"mixed", BARE, TEXT),
        multipart(b"mixed", TEXT, WITH),
        multipart(b"mixed", multipart(b"alternative", TEXT, BARE), TEXT),
        multipart(b"alternative", TEXT, multipart(b"related", BARE, TEXT)),
        multipart(b"related", TEXT, multipart(b"mixed", TEXT, WITH)),
        part(b"Content-Disposition: attachment\r\n" + WITH.partition(b"\r\n\r\n")[0], b""),
    ],
)
def test_an_invitation_is_recognised(content: bytes) -> None:
    """E23, E24."""
    assert meeting_method(parse(content)) == "REQUEST"


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        multipart(b"mixed", TEXT, BARE),
        multipart(b"related", BARE, TEXT),
        multipart(b"mixed", TEXT, multipart(b"alternative", TEXT, BARE)),
        multipart(b"mixed", TEXT, EMBEDDED),
        EMBEDDED,
        multipart(b"mixed", EMBEDDED, TEXT),
        part(b"Content-Type: text/calendar; method=PUBLISH", calendar()),
        part(b"Content-Type: text/calendar; method=NONSENSE", calendar()),
        part(b"Content-Type: text/calendar", calendar(b"PUBLISH")),
        part(b"Content-Type: text/calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
        part(b"Content-Type: text/calendar", b"X-METHOD:REQUEST\r\nDESCRIPTION:METHOD:REQUEST\r\n"),
        part(b"Content-Type: application/ics; name=invite.ics", calendar()),
        part(b"Content-Class: urn:content-classes:message", b"x"),
    ],
)
def test_other_mail_with_calendars_is_no_invitation(content: bytes) -> None:
    """E26."""
    assert meeting_method(parse(content)) is None


@pytest.mark.parametrize(
    "method", [b"REQUEST", b"REPLY", b"COUNTER", b"DECLINECOUNTER", b"CANCEL", b"ADD", b"REFRESH"]
)
def test_every_method_between_people_counts_in_any_case(method: bytes) -> None:
    """E30."""
    assert meeting_method(
        parse(part(b"Content-Type: text/calendar", calendar(method.lower())))
    ) == (method.decode())


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"base64", base64.encodebytes(calendar())),
        (b"quoted-printable", calendar().replace(b"METHOD:REQ", b"MET=48OD:R=\r\nEQ")),
        (b"7bit", b"BEGIN:VCALENDAR\r\nmethod;x=y:RE\r\n QUE\r\n\tST\r\n"),
        (b"8bit", b"BEGIN:VCALENDAR\nMETHOD: REQUEST \n"),
    ],
)
def test_the_method_is_found_in_encoded_and_folded_bodies(encoding: bytes, body: bytes) -> None:
    """E24."""
    fields = b"Content-Type: text/calendar\r\nContent-Transfer-Encoding: " + encoding
    assert meeting_method(parse(part(fields, body))) == "REQUEST"


def test_the_content_class_of_exchange_tells_too() -> None:
    """E24."""
    fields = b"Content-class: URN:content-classes:CalendarMessage"
    assert meeting_method(parse(part(fields, b"x"))) == CONTENT_CLASS


RAW_TNEF = tnef.stream(tnef.class_attribute("IPM.Schedule.Meeting.Request"))


def winmail(
    name: str = "IPM.Microsoft Schedule.MtgReq",
    fields: bytes = b"Content-Type: application/ms-tnef; name=winmail.dat",
    behind: bytes = b"",
) -> bytes:
    raw = tnef.stream(tnef.class_attribute(name)) + behind
    return part(fields + b"\r\nContent-Transfer-Encoding: base64", base64.encodebytes(raw))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("IPM.Microsoft Schedule.MtgReq", "REQUEST"),
        ("IPM.Microsoft Schedule.MtgRespP", "REPLY"),
        ("IPM.Microsoft Schedule.MtgRespN", "REPLY"),
        ("IPM.Microsoft Schedule.MtgRespA", "REPLY"),
        ("IPM.Microsoft Schedule.MtgCncl", "CANCEL"),
        ("IPM.Schedule.Meeting.Request", "REQUEST"),
        ("IPM.Schedule.Meeting.Resp.Pos", "REPLY"),
        ("IPM.Schedule.Meeting.Resp.Neg", "REPLY"),
        ("IPM.Schedule.Meeting.Resp.Tent", "REPLY"),
        ("IPM.Schedule.Meeting.Canceled", "CANCEL"),
        ("ipm.SCHEDULE.meeting.request", "REQUEST"),
        ("IPM.Schedule.Meeting.Request.Room.Large", "REQUEST"),
        ("IPM.Schedule.Meeting.Requests", None),
        ("IPM.Schedule.Meeting", None),
        ("IPM.Schedule.Meeting.Resp", None),
        ("IPM.Appointment", None),
        ("IPM.Microsoft Mail.Note", None),
        ("IPM.Note.IPM.Schedule.Meeting.Request", None),
        ("", None),
    ],
)
def test_the_class_in_tnef_tells_the_method(name: str, method: str | None) -> None:
    """E25."""
    assert meeting_method(parse(winmail(name))) == method
    with_property = tnef.stream(tnef.properties(tnef.class_property(name)))
    fields = b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64"
    assert meeting_method(parse(part(fields, base64.encodebytes(with_property)))) == method


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Type: Application/MS-TNEF",
        b"Content-Type: application/vnd.ms-tnef",
        b'Content-Type: application/octet-stream; name="Winmail.DAT"',
        b"Content-Type: image/png\r\nContent-Disposition: attachment; filename=winmail.dat",
    ],
)
def test_tnef_is_known_by_its_type_or_its_name(fields: bytes) -> None:
    """E25."""
    assert meeting_method(parse(winmail(fields=fields))) == "REQUEST"
    assert meeting_method(parse(multipart(b"mixed", TEXT, winmail(fields=fields)))) == "REQUEST"


@pytest.mark.parametrize(
    "content",
    [
        multipart(b"mixed", winmail(), TEXT),
        multipart(b"mixed", TEXT, winmail("IPM.Note"), winmail()),
        multipart(b"mixed", multipart(b"mixed", TEXT, winmail()), TEXT),
    ],
)
def test_tnef_counts_beside_the_text_and_any_footer(content: bytes) -> None:
    """E25."""
    assert meeting_method(parse(content)) == "REQUEST"


@pytest.mark.parametrize(
    "content",
    [
        part(b"Content-Type: message/rfc822", winmail()),
        multipart(b"mixed", TEXT, part(b"Content-Type: message/rfc822", winmail())),
        multipart(b"mixed", TEXT, part(b"Content-Type: message/rfc822; name=winmail.dat", TEXT)),
        multipart(b"mixed", TEXT, multipart(b"digest", winmail())),
        multipart(b"alternative", TEXT, winmail()),
        multipart(b"signed", multipart(b"mixed", TEXT, winmail()), TEXT),
        part(
            b"Content-Type: multipart/related; boundary=m; name=winmail.dat",
            RAW_TNEF + b"\r\n--m\r\n" + TEXT + b"\r\n--m--\r\n",
        ),
        winmail(fields=b"Content-Type: application/octet-stream; name=notes.dat"),
        part(b"Content-Type: application/ms-tnef", b"IPM.Microsoft Schedule.MtgReq"),
    ],
)
def test_other_tnef_is_no_invitation(content: bytes) -> None:
    """E25, E26."""
    assert meeting_method(parse(content)) is None


def test_the_first_meeting_class_counts() -> None:
    cancel = winmail("IPM.Schedule.Meeting.Canceled")
    assert meeting_method(parse(multipart(b"mixed", TEXT, cancel, winmail()))) == "CANCEL"


def test_only_so_many_parts_are_looked_into_for_tnef() -> None:
    other = part(b"Content-Type: application/ms-tnef", tnef.stream())
    meeting = part(b"Content-Type: application/ms-tnef", RAW_TNEF)
    for others, found in ((MAX_TNEF_PARTS - 1, "REQUEST"), (MAX_TNEF_PARTS, None)):
        assert meeting_method(parse(multipart(b"mixed", *[other] * others, meeting))) == found


def test_tnef_ends_where_its_part_ends() -> None:
    value = b"IPM.Schedule.Meeting.Request\0" + bytes(4)
    raw = tnef.stream(tnef.attribute(tnef.MESSAGE_CLASS, value))
    fields = b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary"
    assert meeting_method(parse(multipart(b"mixed", part(fields, raw), TEXT))) == "REQUEST"
    assert meeting_method(parse(multipart(b"mixed", part(fields, raw[:-4]), TEXT))) is None


def test_the_class_is_found_ahead_of_large_attachments_and_nowhere_else() -> None:
    data = tnef.attribute(tnef.ATTACHMENT_DATA, bytes(MAX_TNEF_OCTETS), tnef.ATTACHMENT)
    assert meeting_method(parse(winmail(behind=data))) == "REQUEST"
    late = data + tnef.properties(tnef.class_property("IPM.Schedule.Meeting.Canceled"))
    assert meeting_method(parse(winmail(behind=late))) == "REQUEST"


THUNDERBIRD = {
    "cancel-repeat-event": "CANCEL",
    "cancel-single-event": "CANCEL",
    "event-with-file-attachment": "REQUEST",
    "exception-major": "REQUEST",
    "exception-minor": "REQUEST",
    "meet-meeting-invite": "REQUEST",
    "message-containing-event": None,
    "message-non-invite": None,
    "outlook-test-invite": "REQUEST",
    "repeat-event": "REQUEST",
    "repeat-update-major": "REQUEST",
    "repeat-update-minor": "REQUEST",
    "single-event": "REQUEST",
    "teams-meeting-invite": "REQUEST",
    "update-major": "REQUEST",
    "update-minor": "REQUEST",
}


@pytest.mark.corpora
def test_the_invitations_of_thunderbird_are_told_from_its_other_mail() -> None:
    """E24, E26: by file name."""
    found = {
        path.stem: meeting_method(parse(path.read_bytes()))
        for path in corpora("calendar", "thunderbird-imip").rglob("*.eml")
    }
    assert found == THUNDERBIRD


@pytest.mark.corpora
def test_calendar_files_as_mail_are_judged_by_the_method_in_their_body() -> None:
    for path in corpora("calendar", "icalendar").rglob("*.ics"):
        raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        says = [line[7:].strip() for line in raw.split(b"\r\n") if line.startswith(b"METHOD:")]
        meeting = bool(says) and says[0] != b"PUBLISH"
        content = part(b"Content-Type: text/calendar; charset=utf-8", raw)
        assert (meeting_method(parse(content)) is not None) is meeting, path
