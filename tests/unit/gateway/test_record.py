"""The log and the counters: one line a delivery, bounded labels, never content or keys."""

from typing import get_args

import structlog

from smime_proxy.gateway.record import ACTIONS, action_of, certificates_of
from smime_proxy.policy.plan import Encrypt, Relay, Sign, SigningKey, SignThenEncrypt, Treatment
from smime_proxy.policy.rules import Policy
from tests.fakes import FakeKey, mail
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, UNKNOWN, send, world
from tests.unit.policy.cases import ALICE as ACCOUNT
from tests.unit.policy.cases import CERTIFICATE

KEY = SigningKey(ACCOUNT, FakeKey(parties.party()))
MINE, THEIRS = parties.party().certificate.fingerprint, CERTIFICATE.certificate.fingerprint


def test_every_treatment_has_a_name() -> None:
    assert set(ACTIONS) == set(get_args(Treatment))
    assert action_of(SignThenEncrypt(KEY, ())) == "sign+encrypt"


def test_the_certificates_of_a_treatment_are_the_signers_then_the_recipients() -> None:
    assert certificates_of(Relay()) == ()
    assert certificates_of(Sign(KEY)) == (MINE,)
    assert certificates_of(Encrypt((CERTIFICATE,))) == (THEIRS,)
    assert certificates_of(SignThenEncrypt(KEY, (CERTIFICATE,))) == (MINE, THEIRS)


async def test_deliveries_copies_and_refusals_are_counted() -> None:
    surroundings = world(Policy(sent_copy="maildir:///x"))
    await send(surroundings, mail(ALICE, PARTNER, STRANGER), ALICE, PARTNER, STRANGER)
    counted = surroundings.measures.counted
    assert ("deliveries", {"treatment": "sign+encrypt", "outcome": "accepted"}) in counted
    assert ("deliveries", {"treatment": "sign", "outcome": "accepted"}) in counted
    assert ("sent_copies", {"outcome": "accepted"}) in counted
    surroundings.outside.faults["commit"] = UNKNOWN
    await send(surroundings, mail(ALICE, STRANGER), ALICE, STRANGER)
    assert ("deliveries", {"treatment": "sign", "outcome": "refused"}) in counted
    asked = mail(ALICE, STRANGER, subject="[encrypt] x")
    await send(surroundings, asked, ALICE, STRANGER)
    assert ("refused", {"rule": "encrypt"}) in counted


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
