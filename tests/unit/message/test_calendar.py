import base64

import pytest

from smime_proxy.message.calendar import CONTENT_CLASS, meeting_method
from smime_proxy.message.parse import parse
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
