"""Mail sent already, counted by what would become of it."""

import pytest

from smime_proxy.gateway import forecast
from smime_proxy.gateway.forecast import Forecast, Forecasting, RefusedMail, Uncertified, Unread
from smime_proxy.policy.rules import Encrypt, Policy
from tests.fakes import AT, mail, session
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, TEAM, world

INVITATION = mail(ALICE, STRANGER, more="Content-Type: text/calendar; method=REQUEST\r\n")


def foreseen(*mails: bytes, policy: Policy | None = None) -> Forecast:
    surroundings = world(policy)
    counting = Forecasting(surroundings.context(), session(), AT)
    for number, content in enumerate(mails, 1):
        counting.add(f"{number}.eml", content)
    assert surroundings.outside.opened == surroundings.copies.opened == 0
    return counting.result()


def outcomes(found: Forecast) -> list[tuple[str, str, int, int]]:
    return [(one.action, one.rule, one.messages, one.recipients) for one in found.outcomes]


def test_actions_and_rules_are_counted_by_message_and_recipient() -> None:
    found = foreseen(
        mail(ALICE, PARTNER, STRANGER),
        mail(ALICE, STRANGER, "other@example.org", more="Bcc: third@example.org\r\n"),
        mail("x@y.org", STRANGER),
        INVITATION,
    )
    assert found.messages == 4
    assert outcomes(found) == [
        ("relay", "From names no account", 1, 1),
        ("relay", "meeting REQUEST", 1, 1),
        ("sign", "sign: policy.sign", 2, 4),
        ("sign+encrypt", "encrypt: policy.encrypt", 1, 1),
    ]
    assert found.exemptions == {"meeting": 1}
    assert found.refusals == ()


def test_recipients_without_a_certificate_are_ranked() -> None:
    """Our own accounts are not among them."""
    found = foreseen(
        mail(ALICE, STRANGER, PARTNER, TEAM), mail(ALICE, STRANGER), mail(ALICE, "a@example.org")
    )
    assert found.without_certificate == (
        Uncertified(STRANGER, 2, "no certificate"),
        Uncertified("a@example.org", 1, "no certificate"),
    )


def test_refusals_are_told_with_addresses_and_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    required = Policy(encrypt=Encrypt.REQUIRED)
    refused = mail(ALICE, STRANGER)
    found = foreseen(refused, refused, mail(ALICE, "a@example.org"), policy=required)
    first, second = found.refusals
    assert first == RefusedMail(ALICE, STRANGER, first.rule, first.reply, 2, "1.eml")
    assert first.reply.startswith(f"550 5.7.5 {STRANGER}: no certificate")
    assert second.recipient == "a@example.org"
    monkeypatch.setattr(forecast, "MAX_LISTED", 1)
    found = foreseen(refused, mail(ALICE, "a@example.org"), refused, policy=required)
    assert (len(found.refusals), found.refusals[0].messages, found.refusals_unlisted) == (1, 2, 1)


def test_the_envelope_is_what_servers_wrote_or_what_the_mail_says() -> None:
    returned = b"Return-Path: <bob@example.test>\r\n" + mail(ALICE, STRANGER)
    null = b"Return-Path: <>\r\n" + mail(ALICE, STRANGER)
    delivered = mail(ALICE, more=f"Delivered-To: {PARTNER}\r\n")
    broken = mail("no address", STRANGER)
    found = foreseen(returned, null, delivered, broken)
    assert outcomes(found) == [
        ("relay", "From names no account", 1, 1),
        ("relay", "null reverse-path", 1, 1),
        ("relay", "the reverse-path is not the From mailbox", 1, 1),
        ("sign+encrypt", "encrypt: policy.encrypt", 1, 1),
    ]


def test_what_is_no_mail_is_named_and_what_cannot_be_read_is_refused() -> None:
    deep = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(60)
    )
    found = foreseen(b"\x00\xff" * 50, b"To: x@y.org\r\n" + deep)
    assert found.unreadable_files == (Unread("1.eml", "it names no recipient"),)
    assert (found.messages, found.unreadable) == (1, 1)
    assert found.refusals[0].reply.startswith("554 5.6.0")
