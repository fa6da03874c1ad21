"""Reports to senders: one an hour, never to nobody, naming each recipient."""

from datetime import timedelta

from smime_proxy.address import parse_mailbox
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.reports import (
    MAX_SENDERS,
    ONE_REPORT_EACH,
    ReportRate,
    failures,
    report_group,
    undelivered,
)
from smime_proxy.message.parse import parse
from smime_proxy.policy.plan import Refused, Why
from tests.fakes import AT, FakeUpstream, envelope, mail
from tests.unit.gateway.test_delivery import NO, group

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
    assert rate.allows(SENDER, AT + ONE_REPORT_EACH)


def test_e69_the_report_goes_from_nobody_to_the_reverse_path() -> None:
    """E69, I12."""
    content = mail("x@y.org", str(TEAM), body="secret\r\n")
    header = parse(content).header
    sealed = envelope(content, "x@y.org", str(TEAM))
    made = report_group(FakeUpstream(), sealed, header, failures([REFUSED]), "proxy.example.test")
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
    assert report_group(FakeUpstream(), sealed, header, failures([REFUSED]), "p") is None


def test_what_the_upstream_refused_is_quoted_for_each_recipient() -> None:
    rows = undelivered([(group(FakeUpstream(), "a", "b"), NO)])
    assert [(row.mailbox.local, row.reply) for row in rows] == [("a", NO), ("b", NO)]
    assert failures([REFUSED])[0].reply == reply_for("team_gets_no_encrypted", REFUSED.detail)
