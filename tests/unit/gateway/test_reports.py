"""Reports to senders: one an hour, never to nobody, naming each recipient."""

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.reports import (
    MAX_SENDERS,
    ONE_REPORT_EACH,
    ReportRate,
    failures,
    report_group,
    undelivered,
)
from smime_proxy.gateway.texts import Language
from smime_proxy.gateway.wording import Wording
from smime_proxy.message.parse import parse
from smime_proxy.policy.plan import Refused, Why
from tests.fakes import AT, FakeUpstream, envelope, mail
from tests.unit.gateway.test_delivery import NO, group

WORDING = Wording()
SENDER, TEAM = parse_mailbox("x@y.org"), parse_mailbox("team@example.test")
REFUSED = Refused(TEAM, Why.TEAM_GETS_NO_ENCRYPTED, f"{TEAM} is a team account", "rule")


def test_e70_one_report_a_sender_and_hour() -> None:
    """E70: asking alone uses nothing up."""
    rate = ReportRate()
    assert rate.allows(SENDER, AT)
    assert rate.allows(SENDER, AT)
    rate.note(SENDER, AT)
    assert not rate.allows(SENDER, AT)
    assert not rate.allows(parse_mailbox("X@Y.ORG"), AT + ONE_REPORT_EACH - timedelta(seconds=1))
    assert rate.allows(SENDER, AT + ONE_REPORT_EACH)
    assert rate.allows(parse_mailbox("other@y.org"), AT)


def test_a_flood_of_senders_is_bounded_and_passes() -> None:
    rate = ReportRate()
    for number in range(MAX_SENDERS):
        rate.note(parse_mailbox(f"s{number}@y.org"), AT)
    assert not rate.allows(SENDER, AT)
    known = parse_mailbox("s0@y.org")
    for sender in (SENDER, known):
        rate.note(sender, AT + ONE_REPORT_EACH / 2)
    assert not rate.allows(known, AT + ONE_REPORT_EACH)
    assert rate.allows(SENDER, AT + ONE_REPORT_EACH)  # there was no room to remember him


def test_e69_the_report_goes_from_nobody_to_the_reverse_path() -> None:
    """E69, I12."""
    content = mail("x@y.org", str(TEAM), body="secret\r\n")
    header = parse(content).header
    sealed = envelope(content, "x@y.org", str(TEAM))
    made = report_group(
        FakeUpstream(),
        sealed,
        header,
        failures([REFUSED], Wording()),
        "proxy.example.test",
        Wording(),
    )
    assert made is not None
    assert made.reverse_path is None
    assert [path.mailbox for path in made.paths] == [SENDER]
    (report,) = made.content
    assert b"Final-Recipient: rfc822; team@example.test" in report
    assert b"Status: 5.7.4" in report
    assert b"secret" not in report
    assert "multipart/report" in (parse(report).header.first("content-type") or "")


def test_nobody_is_written_to() -> None:
    """E68."""
    sealed = envelope(mail("x@y.org", str(TEAM)), None, str(TEAM))
    header = parse(sealed.content).header
    assert (
        report_group(FakeUpstream(), sealed, header, failures([REFUSED], Wording()), "p", Wording())
        is None
    )


def test_what_the_upstream_refused_is_quoted_for_each_recipient() -> None:
    paths = group(FakeUpstream(), "a", "b").paths
    rows = undelivered([(path, NO) for path in paths], WORDING)
    assert [(row.mailbox.local, row.reply) for row in rows] == [("a", NO), ("b", NO)]
    assert failures([REFUSED], Wording())[0].reply == reply_for(
        "team_gets_no_encrypted", REFUSED.detail
    )


def test_a_report_is_read_in_every_language_set_with_its_umlauts() -> None:
    """RFC 2047, RFC 2045 6.7: read by the standard library."""
    wording = Wording((Language.GERMAN, Language.ENGLISH), "Büro +49 30 1234")
    asked = replace(REFUSED, recipient=parse_mailbox("sales@example.test"), instead="Für später.")
    sealed = envelope(mail("x@y.org", str(TEAM)), "x@y.org", str(TEAM))
    header, failed = parse(sealed.content).header, failures([REFUSED, asked], wording)
    made = report_group(FakeUpstream(), sealed, header, failed, "p.example.test", wording)
    assert made is not None
    (raw,) = made.content
    assert raw.isascii()
    long = [line for line in raw.splitlines() if len(line) > 78]
    assert all(line.startswith(b"Diagnostic-Code:") for line in long)
    message: Any = message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "Ihre Nachricht wurde nicht zugestellt"
    text = " ".join(message.get_payload(0).get_content().split())
    german, english = text.split("This is the mail system at p.example.test.")
    assert german.startswith("Dies ist das Mailsystem auf p.example.test. Ihre Nachricht")
    assert "<team@example.test> (5.7.4) team@example.test ist ein Teamkonto. Dort lesen" in german
    assert "senden Sie unverschlüsselt" in german
    assert "sales@example.test ist ein Teamkonto. Für später." in german
    assert german.endswith("Kontakt: Büro +49 30 1234 ")
    assert "team@example.test is a team account. It is read by several people" in english
    assert "sales@example.test is a team account. Für später." in english
    assert english.endswith("Contact: Büro +49 30 1234")
    status = message.get_payload(1).get_payload(1)
    assert status["Status"] == "5.7.4"
    assert "ist ein Teamkonto" in status["Diagnostic-Code"]


def test_a_report_carries_what_the_client_called_mail_and_recipient() -> None:
    """RFC 3464 2.2.1, 2.3.1."""
    sealed = replace(
        envelope(mail("x@y.org", str(TEAM)), "x@y.org", str(TEAM)),
        forward_paths=(ForwardPath(TEAM, ("ORCPT=rfc822;Old+2Bteam@y.org",)),),
        parameters=("ENVID=QQ+2B314159",),
    )
    made = report_group(
        FakeUpstream(),
        sealed,
        parse(sealed.content).header,
        failures([REFUSED], WORDING),
        "p",
        WORDING,
    )
    assert made is not None
    (report,) = made.content
    assert b"\r\nOriginal-Envelope-Id: QQ+314159\r\nReporting-MTA: " in report
    assert (
        b"\r\n\r\nOriginal-Recipient: rfc822; Old+team@y.org\r\nFinal-Recipient: rfc822; team@"
        in report
    )


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS,DELAY"])
def test_nobody_hears_of_those_he_did_not_want_to_hear_of(notify: str) -> None:
    """RFC 3461 4.1."""
    sealed = envelope(mail("x@y.org", str(TEAM)), "x@y.org", str(TEAM), "other@y.org")
    quiet = ForwardPath(TEAM, (f"NOTIFY={notify}",))
    sealed = replace(sealed, forward_paths=(quiet, *sealed.forward_paths[1:]))
    header, failed = parse(sealed.content).header, failures([REFUSED], WORDING)
    assert report_group(FakeUpstream(), sealed, header, failed, "p", WORDING) is None
    other = replace(REFUSED, recipient=parse_mailbox("other@y.org"))
    made = report_group(
        FakeUpstream(), sealed, header, failures([REFUSED, other], WORDING), "p", WORDING
    )
    assert made is not None
    assert b"other@y.org" in made.content[0]
    assert f"Final-Recipient: rfc822; {TEAM}".encode() not in made.content[0]
