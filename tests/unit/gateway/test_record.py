"""The log and the counters: one line a delivery, bounded labels, never content or keys."""

from typing import get_args

import structlog

from smime_proxy.envelope import REMOTE, Origin
from smime_proxy.gateway.record import (
    ACTIONS,
    action_of,
    algorithms_of,
    certificates_of,
    queued_as,
    record_refusal,
)
from smime_proxy.gateway.work import Refused
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.plan import (
    Encrypt,
    Encryption,
    EncryptionRecipient,
    Relay,
    Sign,
    SignatureForm,
    SigningKey,
    SignThenEncrypt,
    Treatment,
)
from smime_proxy.policy.rules import Encrypt as Encrypting
from smime_proxy.policy.rules import OnMissingCertificate, Policy
from smime_proxy.reply import Reply
from tests.fakes import FakeKey, envelope, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BUSY, PARTNER, STRANGER, UNKNOWN, partner, send, world
from tests.unit.policy.cases import ALICE as ACCOUNT
from tests.unit.policy.cases import CERTIFICATE, CERTIFICATE_ON_A_CURVE, KEY_ON_A_CURVE

KEY = SigningKey(ACCOUNT, FakeKey(parties.party()))
SEALING = Encryption((EncryptionRecipient(CERTIFICATE),))
MINE, THEIRS = parties.party().certificate.fingerprint, CERTIFICATE.certificate.fingerprint


def test_every_treatment_has_a_name() -> None:
    assert set(ACTIONS) == set(get_args(Treatment))
    assert action_of(SignThenEncrypt(KEY, Encryption(()))) == "sign+encrypt"


def test_the_certificates_of_a_treatment_are_the_signers_then_the_recipients() -> None:
    assert certificates_of(Relay()) == ()
    assert certificates_of(Sign(KEY)) == (MINE,)
    assert certificates_of(Encrypt(SEALING)) == (THEIRS,)
    assert certificates_of(SignThenEncrypt(KEY, SEALING)) == (MINE, THEIRS)


async def test_deliveries_copies_and_refusals_are_counted() -> None:
    surroundings = world(Policy(sent_copy="maildir:///x"))
    await send(surroundings, mail(ALICE, PARTNER, STRANGER), ALICE, PARTNER, STRANGER)
    counted = surroundings.measures.counted
    assert (
        "deliveries",
        {"treatment": "sign+encrypt", "outcome": "accepted", "mode": "enforce"},
    ) in counted
    assert (
        "deliveries",
        {"treatment": "sign", "outcome": "accepted", "mode": "enforce"},
    ) in counted
    assert ("sent_copies", {"outcome": "accepted"}) in counted
    surroundings.outside.faults["commit"] = UNKNOWN
    await send(surroundings, mail(ALICE, STRANGER), ALICE, STRANGER)
    assert ("deliveries", {"treatment": "sign", "outcome": "refused", "mode": "enforce"}) in counted
    asked = mail(ALICE, STRANGER, subject="[encrypt] x")
    await send(surroundings, asked, ALICE, STRANGER)
    assert ("refused", {"rule": "encrypt", "mode": "enforce"}) in counted


def test_the_upstreams_own_name_for_the_message_is_found_in_its_reply() -> None:
    assert queued_as(Reply(250, None, "2.0.0 Ok: queued as 4f2G9k3Zz1")) == "4f2G9k3Zz1"
    assert queued_as(Reply(250, None, "OK id=1rAbCd-0000000AbCd-2Xyz")) == "1rAbCd-0000000AbCd-2Xyz"
    assert queued_as(Reply(250, None, "queued as \u202ex")) == ""
    assert queued_as(Reply(451, None, "not queued as 1")) == ""


async def test_a_delivery_has_all_that_finds_it_again_elsewhere() -> None:
    surroundings = world()
    with structlog.testing.capture_logs() as lines:
        await send(surroundings, mail(ALICE, PARTNER), ALICE, PARTNER)
    (line,) = lines
    assert set(line) == {
        *("event", "log_level", "id", "listener", "client", "helo", "sender", "to"),
        *("message_id", "action", "rule", "certificates", "opened_with"),
        *("size", "reply", "queued_as", "mode"),
    }
    assert line["message_id"]
    assert line["certificates"] == [
        one.certificate.fingerprint[:16] for one in (parties.party("rsa", "alice"), partner())
    ]


async def test_what_policy_refused_is_reported_only_once_the_report_was_taken() -> None:
    surroundings = world(
        Policy(
            encrypt=Encrypting.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
        )
    )
    counted = surroundings.measures.counted
    content = mail(ALICE, PARTNER, STRANGER)
    surroundings.outside.faults["commit"] = BUSY
    assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == BUSY.code
    assert ("reported", {"mode": "enforce"}) not in counted
    surroundings.outside.faults.clear()
    assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 250
    assert counted.count(("reported", {"mode": "enforce"})) == 1


async def test_i17_neither_content_nor_subject_is_logged() -> None:
    """I17, E95."""
    surroundings = world(Policy(sent_copy="maildir:///x"))
    content = mail(ALICE, PARTNER, subject="canary-subject", body="canary-body\r\n")
    with structlog.testing.capture_logs() as lines:
        await send(surroundings, content, ALICE, PARTNER)
        surroundings.outside.faults["prepare"] = UNKNOWN
        await send(surroundings, content, ALICE, PARTNER)
    assert [line["event"] for line in lines] == ["delivery", "sent copy", "delivery"]
    assert "canary" not in repr(lines)
    assert lines[0]["reply"] == "250 2.0.0 accepted"
    assert lines[2]["reply"] == str(UNKNOWN)


def test_the_algorithms_of_a_treatment_are_named_as_the_settings_are() -> None:
    off = {"header_protection": "off"}
    signed = {"signature": "rsassa_pkcs1v15", "opaque": "no"}
    sealed = {"content_encryption": "aes256_cbc", "key_transport": "rsaes_pkcs1v15"}
    assert algorithms_of(Relay(), CERTIFICATE) == {}
    assert algorithms_of(Sign(KEY), None) == signed | off
    assert algorithms_of(Encrypt(SEALING), CERTIFICATE) == sealed | off
    assert algorithms_of(SignThenEncrypt(KEY, SEALING), CERTIFICATE) == signed | sealed | off
    form = SignatureForm(Signature.RSASSA_PSS, opaque=True)
    gcm = Encryption((EncryptionRecipient(CERTIFICATE, None),), ContentEncryption.AES256_GCM)
    chosen = SignThenEncrypt(KEY, gcm, form, HeaderProtection.BASELINE)
    assert algorithms_of(chosen, CERTIFICATE) == {
        "signature": "rsassa_pss",
        "opaque": "yes",
        "content_encryption": "aes256_gcm",
        "header_protection": "baseline",
    }
    assert "signature" not in algorithms_of(Sign(SigningKey(ACCOUNT, KEY_ON_A_CURVE)), None)


def test_each_recipient_of_a_group_has_his_own_key_transport() -> None:
    both = Encryption(
        (
            EncryptionRecipient(CERTIFICATE, KeyTransport.RSAES_OAEP),
            EncryptionRecipient(CERTIFICATE_ON_A_CURVE, None),
        )
    )
    assert algorithms_of(Encrypt(both), CERTIFICATE)["key_transport"] == "rsaes_oaep"
    assert "key_transport" not in algorithms_of(Encrypt(both), CERTIFICATE_ON_A_CURVE)


async def test_by_lmtp_each_reply_has_a_line_with_those_it_is_for() -> None:
    surroundings = world()
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    others = ("one@example.org", "two@example.org")
    with structlog.testing.capture_logs() as lines:
        recipients = (others[0], STRANGER, others[1])
        await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)
    delivered = [(line["to"], line["reply"]) for line in lines if line["event"] == "delivery"]
    assert delivered == [(list(others), "250 2.0.0 accepted"), ([STRANGER], str(UNKNOWN))]


async def test_where_a_message_came_from_is_logged_beside_the_client() -> None:
    """Under the names Postfix logs it by; the client stays who it is (A06)."""
    origin = Origin("203.0.113.9", identifier="4Xyz", source=REMOTE)
    message = envelope(b"", ALICE, STRANGER, forwarded=origin)
    refused = Refused(UNKNOWN, "encrypt")
    with structlog.testing.capture_logs() as lines:
        for item in (message, envelope(b"", ALICE, STRANGER, forwarded=Origin())):
            record_refusal(world(Policy()).context(), item, refused)
    first, second = lines
    assert (first["client"], first["orig_client"]) == ("127.0.0.1", "203.0.113.9")
    assert (first["orig_queue_id"], first["orig_source"]) == ("4Xyz", "REMOTE")
    assert second["orig_client"] == "unknown"
